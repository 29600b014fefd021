"""The files of a folder on disk, and an index of its images like that of a raw archive."""

import hashlib
from pathlib import Path

import pandas as pd

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import COLUMNS
from brain_tumor.imaging.formats import RASTER_SUFFIXES, is_hidden, is_raster_name
from brain_tumor.local_files import walk_files

# Validation images count as training images, since they are used to select the model.
SPLITS = dict.fromkeys(("train", "training", "val", "valid", "validation"), "train") | dict.fromkeys(
    ("test", "testing"), "test"
)


class FolderFiles:
    """The files below a folder, without hidden ones, with linked ones; it can be sent to another process.

    Attributes:
        path: path of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        """List the files: sorted paths relative to the folder, `/` between folders; each call walks the folder."""
        names = (file.relative_to(self.path).as_posix() for file in walk_files(self.path))
        return sorted(name for name in names if not is_hidden(name) and (self.path / name).is_file())

    def read(self, name: str) -> bytes:
        """Return the bytes of one file; raises a UserError if it cannot be read."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise UserError(f"{self.path / name} cannot be read: {error.strerror}") from None


def index_images(files: FolderFiles) -> pd.DataFrame:
    """List every image file of a folder.

    The label is the first folder on the path of an image that does not name a split. The published split is the first
    folder that does: train, training, val, valid or validation for train; test or testing for test.

    Returns:
        A table with the columns of a raw archive's index, sorted by path; columns without a value are ''.

    Raises:
        UserError: no image, or a file that cannot be read or whose name is not UTF-8.
    """
    rows = []
    for name in files.names():
        if not is_raster_name(name):
            continue
        folders = name.split("/")[:-1]
        split = next((SPLITS[part.lower()] for part in folders if part.lower() in SPLITS), "")
        label = next((part for part in folders if part.lower() not in SPLITS), "")
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UserError(f"{str(files.path / name)!r} has a name that is not UTF-8: rename it") from None
        rows.append((name, label, split, "", "", "", hashlib.sha256(files.read(name)).hexdigest()))
    if not rows:
        raise UserError(f"no image below {files.path} (searched for {', '.join(RASTER_SUFFIXES)})")
    return pd.DataFrame(rows, columns=COLUMNS, dtype=str)
