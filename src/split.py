"""Split the rows of a recipe into training, validation and test."""

import logging

import pandas as pd

from brain_tumor.outputs import staged, write_csv, write_json
from brain_tumor.params import read
from brain_tumor.split import SplitParams, split, summary
from stage import PARAMS, run

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Write the part of every row, whether it is leaked, and the counts."""
    params = read(PARAMS, f"recipes.{name}.split", SplitParams)
    classes = read(PARAMS, f"recipes.{name}.classes", tuple[str, ...])
    dataset = read(PARAMS, f"recipes.{name}.dataset", str)
    rows = pd.read_csv(f"data/enhanced/{name}/rows.csv", dtype=str, keep_default_na=False)
    audit = pd.read_csv(f"data/audit/{dataset}.csv", dtype=str, keep_default_na=False, usecols=["path", "group"])
    rows = rows.merge(audit, on="path", validate="1:1")
    rows = rows.join(split(rows, params))
    counts = summary(rows, classes)
    with staged(f"data/split/{name}.csv", f"metrics/{name}/split.json") as (csv, metrics):
        write_csv(csv, rows[["row", "part", "group", "leaked"]])
        write_json(metrics, counts)
    sizes = ", ".join(f"{part} {counts[part]['images']}" for part in ("train", "validation", "test"))
    log.info("%s: %s; %d test images leaked", name, sizes, counts["leaked"])


if __name__ == "__main__":
    run(main, "recipe")
