"""Summarize the cross-validation of a recipe."""

import logging
from pathlib import Path

import pandas as pd

from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs, write_csv, write_json
from brain_tumor.core.params import read_params
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
    summary = {"n": n, "folds": len(folds), "repeats": len(repeats), "generated_images": generated}
    summary |= aggregate_folds(runs)
    with atomic_outputs(f"metrics/{name}/crossval.json", f"plots/{name}/crossval.csv") as (metrics, curve):
        write_json(metrics, summary, digits=4)
        write_csv(curve, runs.round(4))
    accuracy, low, high = (summary[key] for key in ("accuracy", "accuracy_low", "accuracy_high"))
    log.info("%s: accuracy %.4f (%.4f to %.4f) over %d folds of %d images", name, accuracy, low, high, len(runs), n)


if __name__ == "__main__":
    run_stage(main, "recipe")
