"""Record which local files data sets are read from, so that a download runs again when one of them has changed."""

from pathlib import Path
from typing import Any

from brain_tumor.core.cli import PARAMS, SCRATCH, run_cli
from brain_tumor.core.errors import UserError
from brain_tumor.core.params import read_params
from brain_tumor.datasets.local_sources import find_local_files, update_record


def main() -> None:
    """Write data/sources.json: archives, folders and the masks of a study in the folders of DATA_ARCHIVES."""
    datasets = read_params(PARAMS, "datasets", Any)
    try:
        localization = read_params(PARAMS, "localization", Any)
    except UserError:  # a study that was removed
        localization = None
    update_record(Path("data/sources.json"), find_local_files(datasets, localization), SCRATCH / "sources.json")


if __name__ == "__main__":
    run_cli(main)
