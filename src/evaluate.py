"""Evaluate the model of a recipe on its test rows."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs, write_csv, write_json
from brain_tumor.core.params import read_params
from brain_tumor.core.tables import class_indices, read_table
from brain_tumor.core.types import Gray
from brain_tumor.evaluation import evaluate
from brain_tumor.evaluation.baselines import read_baselines
from brain_tumor.evaluation.curves import compute_curves, select_macro
from brain_tumor.evaluation.evaluate import EvaluateParams
from brain_tumor.evaluation.predictions import TestPredictions, find_label_issues
from brain_tumor.evaluation.probabilities import compared_subsets, save_probabilities
from brain_tumor.evaluation.robustness import perturb
from brain_tumor.models.classifier import load_model
from brain_tumor.models.predict import Probabilities, predict_probabilities
from brain_tumor.models.samples import read_split

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Write metrics for all test rows (`published`) and for those without a related training image (`clean`)."""
    params = read_params(PARAMS, f"recipes.{name}.evaluate", EvaluateParams)
    dataset = read_params(PARAMS, f"recipes.{name}.dataset", str)
    model, config, device = load_model(Path("models") / name)
    folder, split, classes = Path(f"data/enhanced/{name}"), Path(f"data/split/{name}.csv"), config.classes
    images: Gray = np.load(folder / "images.npy", mmap_mode="r")

    def predict(rows: pd.DataFrame, pixels: Gray) -> Probabilities:
        return predict_probabilities(model, config, pixels, device, rows)

    audit = read_table(f"data/audit/{dataset}.csv")
    rows = read_split(folder, split, "test")
    rows = rows.merge(audit[["path", "width", "height"]], on="path", how="left", validate="1:1")
    pixels = images[rows["row"].to_numpy()]
    test = TestPredictions(rows, class_indices(rows["label"], classes), *predict(rows, pixels))
    baselines = read_baselines(Path(f"data/baselines/{name}.csv"), rows, classes)

    tables = [evaluate.evaluate_test_rows(test, baselines, config.calibration, classes, params)]
    tables.append(evaluate.evaluate_patients(test, classes, params))
    for part in params.extra_splits:
        extra = read_split(folder, split, part)
        calibrated = predict(extra, images[extra["row"].to_numpy()]).calibrated
        groups = extra["group"].tolist()
        tables.append(
            evaluate.evaluate_split(part, class_indices(extra["label"], classes), calibrated, groups, classes, params)
        )
    metrics = pd.concat(tables, ignore_index=True)
    perturbed = {}
    for perturbation in params.robustness:
        log.info("%s: %s", name, perturbation)
        perturbed[str(perturbation)] = predict(rows, perturb(pixels, perturbation, params.seed)).calibrated
    curves = compute_curves(test.truth, test.calibrated, compared_subsets(test.clean), classes)
    outs = {
        f"metrics/{name}/metrics.csv": metrics,
        f"metrics/{name}/robustness.csv": evaluate.evaluate_perturbations(test, perturbed, classes, params),
        f"data/predictions/{name}.csv": test.table(classes, baselines),
        f"plots/{name}/label_issues.csv": find_label_issues(rows, test.truth, test.calibrated, classes),
        f"plots/{name}/roc.csv": select_macro(curves["roc"]),
        f"plots/{name}/pr.csv": select_macro(curves["pr"]),
        **{f"plots/{name}/{key}.csv": curves[key] for key in ("reliability", "coverage", "decision")},
    }
    with atomic_outputs(f"metrics/{name}/test.json", f"data/probabilities/{name}.npz", *outs) as paths:
        write_json(paths[0], evaluate.headline_metrics(metrics, params), digits=4)
        save_probabilities(paths[1], test.probabilities())
        for path, table in zip(paths[2:], outs.values(), strict=True):
            write_csv(path, table.round(4))
    log_accuracies(name, metrics)


def log_accuracies(name: str, metrics: pd.DataFrame) -> None:
    """Log the accuracy of all models on all subsets."""
    absolute = (metrics["reference"] == "") & (metrics["reference_subset"] == "") & (metrics["class"] == "")
    lines = metrics[absolute & (metrics["metric"] == "accuracy")]
    columns = ["model", "subset", "attribute", "attribute_value", "n", "value"]
    for model, subset, attribute, attribute_value, n, value in lines[columns].itertuples(index=False):
        restriction = f", {attribute} {attribute_value}" if attribute else ""
        log.info("%s: %s, %s%s: n = %d, accuracy %.4f", name, model, subset, restriction, n, value)


if __name__ == "__main__":
    run_stage(main, "recipe")
