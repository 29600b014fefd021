"""Fit the baselines of a recipe, which use no deep learning."""

from pathlib import Path

import numpy as np

from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs, write_csv
from brain_tumor.core.params import read_params
from brain_tumor.datasets.raw_archive import RawArchive
from brain_tumor.evaluation.baselines import extract_features, file_metadata_features, tabulate_baselines
from brain_tumor.models.samples import read_split


def main(name: str) -> None:
    """Write each baseline's probabilities for the test rows, after fitting it on the training rows."""
    classes = read_params(PARAMS, f"recipes.{name}.classes", tuple[str, ...])
    dataset = read_params(PARAMS, f"recipes.{name}.dataset", str)
    folder = Path(f"data/enhanced/{name}")
    rows = read_split(folder, Path(f"data/split/{name}.csv"), "train", "validation", "test")
    images = np.load(folder / "images.npy", mmap_mode="r")[rows["row"].to_numpy()]
    with RawArchive(f"data/raw/{dataset}.zip") as raw:
        file_features = np.array([file_metadata_features(raw.read(path)) for path in rows["path"]])
    features = extract_features(images, file_features)
    with atomic_outputs(f"data/baselines/{name}.csv") as (path,):
        write_csv(path, tabulate_baselines(features, rows, classes))


if __name__ == "__main__":
    run_stage(main, "recipe")
