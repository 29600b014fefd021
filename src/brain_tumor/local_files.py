"""Files on the local disk: archives in the folders of DATA_ARCHIVES, and all files below a folder."""

import os
import stat
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


def find_local_folder(name: str) -> Path | None:
    """Search for a folder in the repository, or like `find_local_file`, which also finds files."""
    return Path(name) if Path(name).is_dir() else find_local_file(name)


def walk_files(folder: Path, on_error: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """Yield all files below a folder, including those of linked folders; folders come in the order of their names.

    Each folder is visited once, since links may form loops. A link to something that does not exist is a file.

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
        folders.sort()
        yield from (Path(path) / file for file in files)


def find_problem(file: Path) -> str:
    """Return why a file cannot be read, '' if it can be: a link to nothing, not a regular file, no permission."""
    try:
        if file.is_symlink() and not file.exists():
            is_annexed = ".git/annex/" in file.readlink().as_posix()
            advice = ": run `git annex get` or `datalad get` there" if is_annexed else ""
            return f"a link to a file that does not exist{advice}"
        if not stat.S_ISREG(file.stat().st_mode):
            return "not a regular file"
    except OSError as error:
        return f"a file that cannot be read ({error.strerror})"
    return "" if os.access(file, os.R_OK) else "a file that cannot be read (no permission)"
