"""Record which local files a data set is read from, so that its download runs again when one of them has changed."""

from pathlib import Path
from typing import Any

from brain_tumor.core.cli import PARAMS, SCRATCH, run_stage
from brain_tumor.core.errors import UserError
from brain_tumor.core.params import read_params
from brain_tumor.datasets.local_sources import study_masks, update_record


def main(name: str) -> None:
    """Write data/sources/<dataset>.json: archives and folders in DATA_ARCHIVES, those of a study's masks included."""
    source = read_params(PARAMS, f"datasets.{name}.source", dict[str, Any])
    try:
        masks = study_masks(read_params(PARAMS, "localization", Any), name)
    except UserError:  # a study that was removed
        masks = []
    update_record(Path(f"data/sources/{name}.json"), source, SCRATCH / f"sources/{name}.json", masks)


if __name__ == "__main__":
    run_stage(main, "data set")
