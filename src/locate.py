"""Record which local files a data set is read from, so that its download runs again when one of them has changed."""

from pathlib import Path
from typing import Any

from brain_tumor.core.cli import PARAMS, SCRATCH, run_stage
from brain_tumor.core.params import read_params
from brain_tumor.datasets.local_sources import update_record


def main(name: str) -> None:
    """Write data/sources/<dataset>.json: the archive or folder in DATA_ARCHIVES, if there is one."""
    source = read_params(PARAMS, f"datasets.{name}.source", dict[str, Any])
    update_record(Path(f"data/sources/{name}.json"), source, SCRATCH / f"sources/{name}.json")


if __name__ == "__main__":
    run_stage(main, "data set")
