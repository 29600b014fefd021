"""Draw images of a recipe before and after preprocessing."""

import numpy as np

from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs
from brain_tumor.core.params import read_params
from brain_tumor.core.tables import read_table
from brain_tumor.datasets.raw_archive import ArchiveReader
from brain_tumor.imaging.decode import decode_gray
from brain_tumor.plotting.contact_sheets import plot_before_after

MAX_IMAGES = 12


def main(name: str) -> None:
    """Write plots/<recipe>/preprocess.png with at most MAX_IMAGES images, evenly spaced over the rows."""
    dataset = read_params(PARAMS, f"recipes.{name}.dataset", str)
    read = ArchiveReader(f"data/raw/{dataset}.zip")
    rows = read_table(f"data/enhanced/{name}/rows.csv")
    images = np.load(f"data/enhanced/{name}/images.npy", mmap_mode="r")
    selected = np.linspace(0, len(rows) - 1, min(MAX_IMAGES, len(rows))).astype(int)
    samples = [(decode_gray(read(rows["path"][i])), np.asarray(images[i]), rows["label"][i]) for i in selected]
    with atomic_outputs(f"plots/{name}/preprocess.png") as (path,):
        plot_before_after(path, samples, f"{name}: before and after preprocessing")


if __name__ == "__main__":
    run_stage(main, "recipe")
