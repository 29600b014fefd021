"""Files that people keep on their own disks, for when a service cannot be reached or is not wanted."""

import os
from pathlib import Path

from brain_tumor.errors import UserError


def find_on_disk(name: str) -> Path | None:
    """Return the archive or folder `name` from one of the folders in DATA_ARCHIVES (separated as in PATH), if there."""
    for folder in filter(None, os.environ.get("DATA_ARCHIVES", "").split(os.pathsep)):
        if not Path(folder).is_dir():
            raise UserError(f"DATA_ARCHIVES names {folder}, which is no folder")
        if (Path(folder) / name).exists():
            return Path(folder) / name
    return None
