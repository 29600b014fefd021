"""Sum up the cross-validation of a recipe."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from brain_tumor import charts
from brain_tumor.outputs import staged, write_csv, write_json
from brain_tumor.params import read
from brain_tumor.repeats import arrays, figures_of, over_folds, predictions
from stage import PARAMS, run

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Write mean, spread and interval over the folds, the figures of each fold, and the pooled confusion matrix."""
    classes = read(PARAMS, f"recipes.{name}.classes", tuple[str, ...])
    dataset = read(PARAMS, f"recipes.{name}.dataset", str)
    generated = read(PARAMS, f"datasets.{dataset}.about.generated", bool)
    repeats, folds = (read(PARAMS, f"crossval.{key}", tuple[int, ...]) for key in ("repeats", "folds"))
    lines, counts = [], np.zeros((len(classes),) * 2, np.int64)
    for run_name, table in predictions(
        Path(f"data/crossval/{name}"), [f"{r}-{f}" for r in repeats for f in folds]
    ).items():
        repeat, fold = run_name.split("-")
        line = {"repeat": int(repeat), "fold": int(fold), "n": len(table), "trained": int(table["trained"][0])}
        lines.append(line | figures_of(table, classes))
        truth, probabilities = arrays(table, classes)
        np.add.at(counts, (truth, probabilities.argmax(1)), 1)
    runs = pd.DataFrame(lines)
    n = int(runs["n"].sum()) // len(repeats)  # each image is in one test fold of a repeat
    found = {"n": n, "folds": len(folds), "repeats": len(repeats), "generated_images": generated} | over_folds(runs)
    title = f"{name}{' (generated images)' if generated else ''}: all test folds of {len(repeats)} repeats together"
    outs = (f"metrics/{name}/crossval.json", f"plots/{name}/crossval.csv", f"plots/{name}/crossval.png")
    with staged(*outs) as (metrics, curve, picture):
        write_json(metrics, found, digits=4)
        write_csv(curve, runs.round(4))
        charts.confusion_matrices(picture, {"pooled": counts}, classes, title)
    words = "%s: accuracy %.4f (%.4f to %.4f) over %d folds of %d images"
    log.info(words, name, found["accuracy"], found["accuracy_low"], found["accuracy_high"], len(runs), n)


if __name__ == "__main__":
    run(main, "recipe")
