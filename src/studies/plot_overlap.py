"""Draw the number of images that data sets share, and examples of these images."""

import json
from pathlib import Path

from brain_tumor.core.cli import run_cli
from brain_tumor.core.outputs import atomic_outputs
from brain_tumor.core.tables import read_table
from brain_tumor.plotting.contact_sheets import plot_pairs
from brain_tumor.plotting.leakage import plot_overlap_matrix
from brain_tumor.plotting.link_examples import choose_link_examples
from brain_tumor.studies.shared_images import MultiArchiveReader


def main() -> None:
    """Write the matrix of shared images, and a contact sheet with examples of each kind of link."""
    # Labels and splits of different data sets are not comparable.
    table = read_table("data/overlap/images.csv").assign(split="", label="")
    links = read_table("data/overlap/links.csv", numbers=("distance", "correlation"))
    shared = json.loads(Path("metrics/overlap/shared.json").read_text(encoding="utf-8"))
    read_file = MultiArchiveReader(Path("data/raw"))
    with atomic_outputs("plots/overlap") as (folder,):
        folder.mkdir()
        plot_overlap_matrix(folder / "shared.png", shared)
        plot_pairs(
            folder / "examples.png", choose_link_examples(table, links), read_file, "images that data sets share"
        )


if __name__ == "__main__":
    run_cli(main)
