"""Fit the baselines of a recipe, which use no deep learning."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs, write_csv
from brain_tumor.core.params import read_params
from brain_tumor.core.tables import class_indices, probability_columns
from brain_tumor.datasets.raw_archive import RawArchive
from brain_tumor.evaluation.baselines import extract_features, file_metadata_features, predict_baselines
from brain_tumor.models.samples import read_split

log = logging.getLogger(__name__)
PARTS = ("train", "validation", "test")


def main(name: str) -> None:
    """Write each baseline's probabilities for the test rows, after fitting it on the training rows."""
    classes = read_params(PARAMS, f"recipes.{name}.classes", tuple[str, ...])
    dataset = read_params(PARAMS, f"recipes.{name}.dataset", str)
    folder = Path(f"data/enhanced/{name}")
    rows = read_split(folder, Path(f"data/split/{name}.csv"), *PARTS)
    images = np.load(folder / "images.npy", mmap_mode="r")[rows["row"].to_numpy()]
    with RawArchive(f"data/raw/{dataset}.zip") as raw:
        file_features = np.array([file_metadata_features(raw.read(path)) for path in rows["path"]])
    targets = class_indices(rows["label"], classes)
    parts = [np.flatnonzero(rows["part"] == part) for part in PARTS]
    test = parts[2]
    tables = []
    features = extract_features(images, file_features)
    for baseline, probabilities in predict_baselines(features, targets, parts, len(classes), seed=0).items():
        columns = dict(zip(probability_columns(classes), probabilities.round(6).T, strict=True))
        tables.append(pd.DataFrame({"baseline": baseline, "row": rows["row"].iloc[test], **columns}))
        accuracy = (probabilities.argmax(1) == targets[test]).mean()
        log.info("%s: %s: accuracy %.3f on %d test images", name, baseline, accuracy, len(probabilities))
    with atomic_outputs(f"data/baselines/{name}.csv") as (path,):
        write_csv(path, pd.concat(tables))


if __name__ == "__main__":
    run_stage(main, "recipe")
