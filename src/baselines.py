"""Fit the dumb baselines of a recipe."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from brain_tumor.archive import RawArchive
from brain_tumor.baselines import file_facts, predict
from brain_tumor.outputs import staged, write_csv
from brain_tumor.params import read
from brain_tumor.rows import read_rows
from stage import PARAMS, run

log = logging.getLogger(__name__)
PARTS = ("train", "validation", "test")


def main(name: str) -> None:
    """Write each baseline's probabilities for the test rows, after fitting it on the training rows."""
    classes = read(PARAMS, f"recipes.{name}.classes", tuple[str, ...])
    dataset = read(PARAMS, f"recipes.{name}.dataset", str)
    folder = Path(f"data/enhanced/{name}")
    rows = read_rows(folder, Path(f"data/split/{name}.csv"), *PARTS)
    images = np.load(folder / "images.npy", mmap_mode="r")[rows["row"].to_numpy()]
    with RawArchive(f"data/raw/{dataset}.zip") as raw:
        facts = np.array([file_facts(raw.read(path)) for path in rows["path"]])
    targets = np.array([classes.index(label) for label in rows["label"]], np.int64)
    parts = [np.flatnonzero(rows["part"] == part) for part in PARTS]
    found = predict(images, facts, targets, parts, len(classes), seed=0)
    tables = []
    for baseline, probabilities in found.items():
        columns = {f"p_{label}": probabilities[:, k].round(6) for k, label in enumerate(classes)}
        tables.append(pd.DataFrame({"baseline": baseline, "row": rows["row"].iloc[parts[2]], **columns}))
        accuracy = (probabilities.argmax(1) == targets[parts[2]]).mean()
        log.info("%s: %s: accuracy %.3f on %d test images", name, baseline, accuracy, len(probabilities))
    with staged(f"data/baselines/{name}.csv") as (draft,):
        write_csv(draft, pd.concat(tables))


if __name__ == "__main__":
    run(main, "recipe")
