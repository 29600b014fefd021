"""The files of a folder on disk, and its images as an index like that of a raw archive."""

import hashlib
import os
from pathlib import Path

import pandas as pd

from brain_tumor.archive import COLUMNS
from brain_tumor.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp")
# Validation images are learned from too: they choose the model.
SPLITS = dict.fromkeys(("train", "training", "val", "valid", "validation"), "train") | dict.fromkeys(
    ("test", "testing"), "test"
)


def is_hidden(name: str) -> bool:
    """Whether a file, or a folder on its way, is one that systems hide or add: `.DS_Store`, `__MACOSX`."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


class FolderFiles:
    """The files below a folder, hidden ones left out, linked ones included; it can be sent to another process."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def names(self) -> list[str]:
        """Sorted names with `/` between folders; the folder is walked through at each call."""
        found, seen = [], set()
        for folder, folders, files in os.walk(self.place, followlinks=True):
            real = os.path.realpath(folder)
            if real in seen:  # a link that leads back
                folders.clear()
                continue
            seen.add(real)
            names = ((Path(folder) / file).relative_to(self.place).as_posix() for file in files)
            found += [name for name in names if not is_hidden(name) and (self.place / name).is_file()]
        return sorted(found)

    def read(self, name: str) -> bytes:
        """The bytes of one file; a UserError if it cannot be read."""
        try:
            return (self.place / name).read_bytes()
        except OSError as error:
            raise UserError(f"{self.place / name} cannot be read: {error.strerror}") from None


def index_images(files: FolderFiles) -> pd.DataFrame:
    """List every image file of a folder: the first folder on its way is the label.

    A folder named train, training, val, valid, validation, test or testing is no label, but the published
    split, of which validation counts as training.

    Raises:
        UserError: no image, or a file that cannot be read or listed.
    """
    rows = []
    for name in files.names():
        if not name.lower().endswith(SUFFIXES):
            continue
        folders = name.split("/")[:-1]
        split = next((SPLITS[part.lower()] for part in folders if part.lower() in SPLITS), "")
        label = next((part for part in folders if part.lower() not in SPLITS), "")
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UserError(f"{str(files.place / name)!r} has a name that is no UTF-8: rename it") from None
        rows.append((name, label, split, "", "", "", hashlib.sha256(files.read(name)).hexdigest()))
    if not rows:
        raise UserError(f"no image below {files.place} (looked for {', '.join(SUFFIXES)})")
    return pd.DataFrame(rows, columns=COLUMNS, dtype=str)
