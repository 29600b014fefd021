"""The images of a folder on disk, as an index like that of a raw archive."""

import hashlib
from pathlib import Path

import pandas as pd

from brain_tumor.archive import COLUMNS
from brain_tumor.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp")
# Validation images are learned from too: they choose the model.
SPLITS = dict.fromkeys(("train", "training", "val", "valid", "validation"), "train") | dict.fromkeys(
    ("test", "testing"), "test"
)


def index_folder(folder: Path) -> pd.DataFrame:
    """List every image file below `folder`: the first folder on its way is the label.

    A folder named train, training, val, valid, validation, test or testing is no label, but the published
    split, of which validation counts as training. Hidden files and folders are passed over.

    Raises:
        UserError: no such folder, no image in it, or a file that cannot be read or listed.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder")
    rows = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.suffix.lower() not in SUFFIXES or any(part.startswith(".") for part in parts) or not path.is_file():
            continue
        split = next((SPLITS[part.lower()] for part in parts[:-1] if part.lower() in SPLITS), "")
        label = next((part for part in parts[:-1] if part.lower() not in SPLITS), "")
        try:
            "/".join(parts).encode()
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except UnicodeEncodeError:
            raise UserError(f"{str(path)!r} has a name that is no UTF-8: rename it") from None
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from None
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
