"""Sum up the cross-validation of a recipe."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from brain_tumor import charts
from brain_tumor.outputs import staged, write_csv, write_json
from brain_tumor.params import read
from brain_tumor.repeats import figures_of, over_folds
from stage import PARAMS, run

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Write mean, spread and interval over the folds, the figures of each fold, and the pooled confusion matrix."""
    classes = read(PARAMS, f"recipes.{name}.classes", tuple[str, ...])
    lines, counts = [], np.zeros((len(classes),) * 2, np.int64)
    seen: set[int] = set()
    for path in sorted(Path(f"data/crossval/{name}").glob("*.csv")):
        predictions = pd.read_csv(path, dtype={"label": str}, keep_default_na=False)
        repeat, fold = path.stem.split("-")
        line = {"repeat": int(repeat), "fold": int(fold), "n": len(predictions)}
        lines.append(line | {"trained": int(predictions["trained"][0])} | figures_of(predictions, classes))
        truth = [classes.index(label) for label in predictions["label"]]
        np.add.at(counts, (truth, predictions[[f"p_{label}" for label in classes]].to_numpy().argmax(1)), 1)
        seen |= set(predictions["row"])
    runs = pd.DataFrame(lines)
    repeats = runs["repeat"].nunique()
    found = {"n": len(seen), "folds": len(runs) // repeats, "repeats": repeats} | over_folds(runs)
    title = f"{name}: all test folds of {repeats} repeats together"
    outs = (f"metrics/{name}/crossval.json", f"plots/{name}/crossval.csv", f"plots/{name}/crossval.png")
    with staged(*outs) as (metrics, table, picture):
        write_json(metrics, found, digits=4)
        write_csv(table, runs.round(4))
        charts.confusion_matrices(picture, {"pooled": counts}, classes, title)
    words = "%s: accuracy %.4f (%.4f to %.4f) over %d folds of %d images"
    log.info(words, name, found["accuracy"], found["accuracy_low"], found["accuracy_high"], len(runs), len(seen))


if __name__ == "__main__":
    run(main, "recipe")
