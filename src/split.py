"""Split the rows of a recipe into training, validation and test."""

import logging

import numpy as np
import pandas as pd

from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.errors import UserError
from brain_tumor.core.outputs import atomic_outputs, write_csv, write_json
from brain_tumor.core.params import read_params
from brain_tumor.core.tables import read_table
from brain_tumor.splits.split import PARTS, SplitParams, split_rows, summarize_split, training_statistics

log = logging.getLogger(__name__)
AUDIT_COLUMNS = ["duplicate_id", "orientation", "group", "patient", "series", "fold", "source_label"]


def main(name: str) -> None:
    """Write the part of each row and its type of leakage, the counts, and the statistics of the training rows."""
    params = read_params(PARAMS, f"recipes.{name}.split", SplitParams)
    classes = read_params(PARAMS, f"recipes.{name}.classes", tuple[str, ...])
    dataset = read_params(PARAMS, f"recipes.{name}.dataset", str)
    audit = read_table(f"data/audit/{dataset}.csv")[["path", *AUDIT_COLUMNS]]
    rows = read_table(f"data/enhanced/{name}/rows.csv").drop(columns=AUDIT_COLUMNS, errors="ignore")
    rows = rows.merge(audit, on="path", validate="1:1")
    if params.strategy == "published":
        require_published_classes(rows, classes)
    rows = rows.join(split_rows(rows, params))
    counts = summarize_split(rows, classes)
    images = np.load(f"data/enhanced/{name}/images.npy", mmap_mode="r")
    train = rows[rows["part"] == "train"]
    statistics = training_statistics(images[train["row"].astype(int).to_numpy()], train["label"].tolist(), classes)
    outs = (f"data/split/{name}.csv", f"data/split/{name}.json", f"metrics/{name}/split.json")
    with atomic_outputs(*outs) as (table_path, statistics_path, counts_path):
        write_csv(table_path, rows[["row", "part", "leak", "group", "patient", "series", "fold", "source_label"]])
        write_json(statistics_path, statistics, digits=9)
        write_json(counts_path, counts)
    sizes = ", ".join(f"{part} {counts[part]['images']}" for part in PARTS)
    leaked = ", ".join(f"{leak} {count}" for leak, count in counts["leaked"].items())
    log.info("%s: %s; leaking test images: %s", name, sizes, leaked)


def require_published_classes(rows: pd.DataFrame, classes: tuple[str, ...]) -> None:
    """Raise a UserError if one of the published splits that exist lacks a class of the recipe.

    Args:
        rows: table with columns split ('train', 'test' or '') and label.
        classes: the classes of the recipe.
    """
    for split in sorted(set(rows["split"]) - {""}):
        if missing := [label for label in classes if label not in set(rows["label"][rows["split"] == split])]:
            raise UserError(
                f"the published split {split} has no image of {', '.join(missing)}: leave the class out of `labels` of "
                "the data set and of `classes`, or set split.strategy to fraction, which divides all images"
            )


if __name__ == "__main__":
    run_stage(main, "recipe")
