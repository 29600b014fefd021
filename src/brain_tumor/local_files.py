"""Files on the local disk: archives in the folders of DATA_ARCHIVES, and all files below a folder."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from brain_tumor.core.errors import UserError


def find_local_file(name: str) -> Path | None:
    """Search for a file or folder in the folders of the environment variable DATA_ARCHIVES.

    Args:
        name: file name or relative path.

    Returns:
        The path in the first folder that contains it, None if no folder does. Folders are separated as in PATH.

    Raises:
        UserError: DATA_ARCHIVES names something that is not a folder.
    """
    for folder in filter(None, os.environ.get("DATA_ARCHIVES", "").split(os.pathsep)):
        if not Path(folder).is_dir():
            raise UserError(f"DATA_ARCHIVES names {folder}, which is not a folder")
        if (Path(folder) / name).exists():
            return Path(folder) / name
    return None


def walk_files(folder: Path, on_error: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """Yield all files below a folder, including those of linked folders, in no particular order.

    Each folder is visited once, since links may form loops.

    Args:
        folder: nothing is yielded if it is not a folder.
        on_error: called for each folder that cannot be read; such folders are skipped.
    """
    visited = set()
    for path, folders, files in os.walk(folder, onerror=on_error, followlinks=True):
        real_path = os.path.realpath(path)
        if real_path in visited:
            folders.clear()
            continue
        visited.add(real_path)
        yield from (Path(path) / file for file in files)
