"""Summarize the cross-validation by patients of a recipe, pooled over the folds."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs, write_csv, write_json
from brain_tumor.core.params import read_params
from brain_tumor.core.subsets import CLEAN, PUBLISHED, UNCALIBRATED
from brain_tumor.core.tables import read_table
from brain_tumor.evaluation.baselines import read_baselines
from brain_tumor.evaluation.evaluate import EvaluateParams, evaluate_test_rows, headline_metrics
from brain_tumor.evaluation.predictions import TestPredictions
from brain_tumor.metrics.bootstrap import ALL
from brain_tumor.models.calibration import Calibration
from brain_tumor.reporting.results import Results
from brain_tumor.studies.params import PatientsParams
from brain_tumor.studies.statistics import metrics_of_predictions, prediction_arrays, read_predictions

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Write the metrics of all folds together, with intervals over groups, beside those of the baselines."""
    params = read_params(PARAMS, "patients", PatientsParams)
    classes = read_params(PARAMS, f"recipes.{name}.classes", tuple[str, ...])
    dataset = read_params(PARAMS, f"recipes.{name}.dataset", str)
    generated = read_params(PARAMS, f"datasets.{dataset}.info.generated", bool)
    folds = read_predictions(Path(f"data/patients/{name}"), [str(fold) for fold in params.folds])
    source_labels = read_table(f"data/split/{name}.csv", numbers=("row",))[["row", "source_label"]]
    rows = pd.concat(folds.values(), ignore_index=True).merge(source_labels, on="row", validate="1:1")
    truth, probabilities = prediction_arrays(rows, classes)
    baselines = read_baselines(Path(f"data/patients/{name}-baselines.csv"), rows, classes)
    test = TestPredictions(rows, truth, probabilities, probabilities)
    evaluation = EvaluateParams(rounds=params.rounds, seed=params.seed)
    table = evaluate_test_rows(test, baselines, Calibration(), classes, evaluation)
    table = table[table["model"] != UNCALIBRATED]
    headline = headline_metrics(table, evaluation)
    summary = {ALL: headline.pop(PUBLISHED), CLEAN: headline.pop(CLEAN), **headline}
    renamed = table.assign(**{key: table[key].replace(PUBLISHED, ALL) for key in ("subset", "reference_subset")})
    summary |= compare_with_baselines(Results(renamed)) | {"folds": len(folds), "generated_images": generated}
    lines = [{"fold": fold, "n": len(one)} | metrics_of_predictions(one, classes) for fold, one in folds.items()]
    outs = (f"metrics/{name}/patients.csv", f"metrics/{name}/patients.json", f"plots/{name}/patients.csv")
    predictions = f"data/predictions/{name}-patients.csv"
    with atomic_outputs(*outs, predictions) as (metrics_path, summary_path, folds_path, predictions_path):
        write_csv(metrics_path, renamed.round(4))
        write_json(summary_path, summary, digits=4)
        write_csv(folds_path, pd.DataFrame(lines).round(4))
        write_csv(predictions_path, test.table(classes, baselines).round(4))
    log.info("%s: accuracy %.4f on %d images in %d folds", name, summary[ALL]["accuracy"], len(rows), len(folds))


def compare_with_baselines(results: Results) -> dict[str, Any]:
    """Return the most accurate baseline on all images, and by how much the model is more accurate."""
    accuracies = {name: results.get("accuracy", ALL, name) for name in results.baselines(ALL)}
    best = max(accuracies, key=lambda name: accuracies[name] or (0.0,))
    accuracy, gain = accuracies[best], results.get("accuracy", ALL, reference=best)
    assert accuracy is not None
    content: dict[str, Any] = {"name": best, "accuracy": accuracy.value}
    content["interval"] = {"accuracy": [accuracy.low, accuracy.high]}
    if gain is not None:
        content["gain"] = gain.value
        content["interval"]["gain"] = [gain.low, gain.high]
    return {"best_baseline": content}


if __name__ == "__main__":
    run_stage(main, "recipe")
