"""Summarize the cross-validation of a recipe."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs, write_csv, write_json
from brain_tumor.core.params import read_params
from brain_tumor.core.tables import probability_columns
from brain_tumor.studies.statistics import aggregate_folds, metrics_of_predictions, read_fold_predictions

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Write mean, standard deviation and interval of each metric over the folds, and the metrics of each fold."""
    classes = read_params(PARAMS, f"recipes.{name}.classes", tuple[str, ...])
    dataset = read_params(PARAMS, f"recipes.{name}.dataset", str)
    generated = read_params(PARAMS, f"datasets.{dataset}.info.generated", bool)
    repeats, folds = (read_params(PARAMS, f"crossval.{key}", tuple[int, ...]) for key in ("repeats", "folds"))
    lines = []
    tables = read_fold_predictions(Path(f"data/crossval/{name}"), repeats, folds)
    for (repeat, fold), table in tables.items():
        line = {"repeat": repeat, "fold": fold, "n": len(table), "num_train": int(table["num_train"][0])}
        lines.append(line | metrics_of_predictions(table, classes))
    runs = pd.DataFrame(lines)
    n = int(runs["n"].sum()) // len(repeats)  # each image is in one test fold of a repeat
    summary: dict[str, Any] = {"n": n, "folds": len(folds), "repeats": len(repeats), "generated_images": generated}
    pooled = pd.concat(table.assign(repeat=repeat) for (repeat, _), table in tables.items())
    counts = pooled.loc[pooled["repeat"] == repeats[0], "label"].value_counts()
    summary["classes"] = {label: int(counts.get(label, 0)) for label in classes}
    summary |= aggregate_folds(runs)
    predicted = pooled[probability_columns(classes)].to_numpy().argmax(1)
    pooled = pooled.assign(predicted=[classes[k] for k in predicted])
    columns = ["repeat", "fold", "row", "path", "label", "predicted", *probability_columns(classes)]
    outs = (f"metrics/{name}/crossval.json", f"plots/{name}/crossval.csv", f"data/predictions/{name}-crossval.csv")
    with atomic_outputs(*outs) as (metrics, curve, predictions):
        write_json(metrics, summary, digits=4)
        write_csv(curve, runs.round(4))
        write_csv(predictions, pooled[columns].round(4))
    accuracy, low, high = (summary[key] for key in ("accuracy", "accuracy_low", "accuracy_high"))
    log.info("%s: accuracy %.4f (%.4f to %.4f) over %d folds of %d images", name, accuracy, low, high, len(runs), n)


if __name__ == "__main__":
    run_stage(main, "recipe")
