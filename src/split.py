"""Split the rows of a recipe into training, validation and test."""

import logging

import numpy as np
import pandas as pd

from brain_tumor.outputs import staged, write_csv, write_json
from brain_tumor.params import read
from brain_tumor.split import SplitParams, split, statistics, summary
from stage import PARAMS, run

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Write the part of every row and what leaks, the counts, and the statistics of the training rows."""
    params = read(PARAMS, f"recipes.{name}.split", SplitParams)
    classes = read(PARAMS, f"recipes.{name}.classes", tuple[str, ...])
    dataset = read(PARAMS, f"recipes.{name}.dataset", str)
    rows = pd.read_csv(f"data/enhanced/{name}/rows.csv", dtype=str, keep_default_na=False)
    columns = ["path", "copies", "orientation", "group"]
    audit = pd.read_csv(f"data/audit/{dataset}.csv", dtype=str, keep_default_na=False, usecols=columns)
    rows = rows.merge(audit, on="path", validate="1:1")
    rows = rows.join(split(rows, params))
    counts = summary(rows, classes)
    images = np.load(f"data/enhanced/{name}/images.npy", mmap_mode="r")
    training = rows[rows["part"] == "train"]
    known = statistics(images[training["row"].astype(int).to_numpy()], training["label"].tolist(), classes)
    outs = (f"data/split/{name}.csv", f"data/split/{name}.json", f"metrics/{name}/split.json")
    with staged(*outs) as (csv, training_json, metrics):
        write_csv(csv, rows[["row", "part", "group", "leak"]])
        write_json(training_json, known, digits=9)
        write_json(metrics, counts)
    sizes = ", ".join(f"{part} {counts[part]['images']}" for part in ("train", "validation", "test"))
    leaked = ", ".join(f"{kind} {count}" for kind, count in counts["leaked"].items())
    log.info("%s: %s; test images that leak: %s", name, sizes, leaked)


if __name__ == "__main__":
    run(main, "recipe")
