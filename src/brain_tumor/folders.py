"""The images of a folder on disk, as an index like that of a raw archive."""

import hashlib
from pathlib import Path

import pandas as pd

from brain_tumor.archive import COLUMNS
from brain_tumor.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp")
SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test"}


def index_folder(folder: Path) -> pd.DataFrame:
    """List every image file below `folder`: its own folder's name is the label.

    A folder named train, training, test or testing on the way names the published split. Hidden files and
    folders are passed over.

    Raises:
        UserError: no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder")
    rows = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.suffix.lower() not in SUFFIXES or any(part.startswith(".") for part in parts) or not path.is_file():
            continue
        split = next((SPLITS[part.lower()] for part in parts[:-1] if part.lower() in SPLITS), "")
        label = parts[-2] if len(parts) > 1 and parts[-2].lower() not in SPLITS else ""
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append(("/".join(parts), label, split, "", "", "", digest))
    if not rows:
        raise UserError(f"no image below {folder} (looked for {', '.join(SUFFIXES)})")
    return pd.DataFrame(rows, columns=COLUMNS, dtype=str)


class FolderReader:
    """Reads files below a folder by their path in the index."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, path: str) -> bytes:
        """Return the bytes of one file."""
        return (self._folder / path).read_bytes()
