"""Draw an original and a synthetic duplicate for each alteration."""

from brain_tumor.audit.transforms import TRANSFORMS
from brain_tumor.core.cli import run_stage
from brain_tumor.core.outputs import atomic_outputs
from brain_tumor.core.tables import read_table
from brain_tumor.datasets.raw_archive import ArchiveReader
from brain_tumor.imaging.decode import decode_gray
from brain_tumor.plotting.contact_sheets import plot_pairs
from brain_tumor.studies.synthetic_duplicates import (
    ALTERATIONS,
    choose_originals,
    make_duplicate,
    transform_for_index,
)

COLUMNS = 3


def main(name: str) -> None:
    """Write a contact sheet with one pair per alteration."""
    paths = choose_originals(read_table(f"data/audit/{name}.csv"), read_table(f"data/audit/{name}-links.csv"))
    read = ArchiveReader(f"data/raw/{name}.zip")
    files: dict[str, bytes] = {}
    pairs = []
    for index, (path, alteration) in enumerate(zip(paths, ALTERATIONS, strict=False)):
        duplicate = f"{alteration}, {TRANSFORMS[transform_for_index(index)]}"
        files |= {path: read(path), duplicate: make_duplicate(decode_gray(read(path)), alteration, index)}
        pairs.append((path, duplicate, "synthetic duplicate"))
    rows = [pairs[start : start + COLUMNS] for start in range(0, len(pairs), COLUMNS)]
    with atomic_outputs(f"plots/{name}/planted.png") as (sheet,):
        plot_pairs(sheet, rows, files.__getitem__, f"{name}: originals and synthetic duplicates")


if __name__ == "__main__":
    run_stage(main, "data set")
