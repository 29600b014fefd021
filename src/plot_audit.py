"""Draw examples of the duplicates and adjacent slices that the audit of a data set found."""

from typing import Any

from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs
from brain_tumor.core.params import read_params
from brain_tumor.core.tables import read_table
from brain_tumor.datasets.raw_archive import ArchiveReader
from brain_tumor.plotting.contact_sheets import plot_pairs
from brain_tumor.plotting.link_examples import AUDIT_TITLE, choose_link_examples


def main(name: str) -> None:
    """Write a contact sheet with examples of each kind of link."""
    read_params(PARAMS, f"datasets.{name}", dict[str, Any])  # an unknown name is an error that lists the others
    table = read_table(f"data/audit/{name}.csv")
    links = read_table(f"data/audit/{name}-links.csv", numbers=("distance", "correlation"))
    read_file = ArchiveReader(f"data/raw/{name}.zip")
    with atomic_outputs(f"plots/{name}/audit.png") as (path,):
        plot_pairs(path, choose_link_examples(table, links), read_file, f"{name}: {AUDIT_TITLE}")


if __name__ == "__main__":
    run_stage(main, "data set")
