"""Draw the cross-validation of a recipe."""

from pathlib import Path

import numpy as np

from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs
from brain_tumor.core.params import read_params
from brain_tumor.metrics.classification import count_confusion
from brain_tumor.plotting.evaluation import plot_confusion_matrices
from brain_tumor.studies.statistics import prediction_arrays, read_fold_predictions


def main(name: str) -> None:
    """Write plots/<recipe>/crossval.png: the confusion matrix of all test folds of all repeats together."""
    classes = read_params(PARAMS, f"recipes.{name}.classes", tuple[str, ...])
    dataset = read_params(PARAMS, f"recipes.{name}.dataset", str)
    generated = read_params(PARAMS, f"datasets.{dataset}.info.generated", bool)
    repeats, folds = (read_params(PARAMS, f"crossval.{key}", tuple[int, ...]) for key in ("repeats", "folds"))
    counts = np.zeros((len(classes),) * 2, np.int64)
    for table in read_fold_predictions(Path(f"data/crossval/{name}"), repeats, folds).values():
        truth, probabilities = prediction_arrays(table, classes)
        counts += count_confusion(truth, probabilities.argmax(1), len(classes))
    title = f"{name}{' (generated images)' if generated else ''}: all test folds of {len(repeats)} repeats together"
    with atomic_outputs(f"plots/{name}/crossval.png") as (path,):
        plot_confusion_matrices(path, {"pooled": counts}, classes, title)


if __name__ == "__main__":
    run_stage(main, "recipe")
