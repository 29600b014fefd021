"""Parameters of a user's images with boxes in annotation files, in a folder or an archive; their splits by folder."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.readers.files import Files, normalize_name
from brain_tumor.datasets.readers.folder import FolderFiles, find_folder
from brain_tumor.datasets.readers.labels_from_boxes import BoxRules, Name
from brain_tumor.datasets.readers.open_archive import find_archive, open_archive
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.imaging.formats import HEAD_BYTES, RASTER_SUFFIXES, identify

OUTSIDE_SPLITS = "in no folder that `splits` names"  # reason why a file is skipped


class BoxedFiles(BoxRules):
    """Images with boxes: either `path` or `file` must be set.

    Attributes:
        path: path of a folder, relative to the repository or to a folder of DATA_ARCHIVES.
        file: file name of an archive (zip or tar) in a folder of DATA_ARCHIVES.
        splits: maps names of folders to published splits ('' for none). The innermost folder of an image that is named
            here counts; images in no such folder are left out. With `{}`, and if no folder has one of the default
            names, no image has a published split.
    """

    path: str = ""
    file: str = ""
    splits: dict[Name, Literal["", "train", "test"]] = Field(
        default={"train": "train", "val": "train", "valid": "train", "trainval": "train", "test": "test"}
    )

    @model_validator(mode="after")
    def _require_exactly_one(self) -> "BoxedFiles":
        if bool(self.path) == bool(self.file):
            raise ValueError("set either `path` (a folder) or `file` (an archive)")
        return self

    @contextmanager
    def open(self, scratch: Path) -> Iterator[Files]:
        """Open the folder or archive; raises a UserError if it was not found, or is unsafe or corrupted.

        Args:
            scratch: folder for temporary files.
        """
        if self.path:
            yield FolderFiles(find_folder(self.path, "set `file` instead of `path`"))
        else:
            with open_archive(find_archive(self.file), scratch) as files:
                yield files

    def find_splits(self, names: Iterable[str], source: Path) -> dict[str, str]:
        """Return for each file the innermost of its folders that `splits` names.

        Files in no such folder are missing from the result. If there is no such folder at all, every file has ''.

        Raises:
            UserError: no folder has any of the names, and they are not the default.
        """
        keys = {normalize_name(key): key for key in self.splits}
        found = {}
        names = list(names)
        for name in names:
            folders = (normalize_name(part) for part in reversed(name.split("/")[:-1]))
            if key := next((keys[folder] for folder in folders if folder in keys), ""):
                found[name] = key
        if found or not names:
            return found
        if self.splits and "splits" in self.model_fields_set:
            raise UserError(
                f"{source} has no folder {', '.join(self.splits)}, which `splits` names (it has {names[0]}, …); "
                "`splits: {}` is for images without published splits"
            )
        return dict.fromkeys(names, "")


def skip_other_file(files: Files, name: str, reason: str, skipped: SkippedFiles) -> None:
    """Note a file that no annotation names: with what it is, or with `reason` if it is an image."""
    is_image = name.lower().endswith(RASTER_SUFFIXES)  # spares reading it
    skipped.add(name, reason if is_image else identify(files.read(name)[:HEAD_BYTES], name).reason or reason)


def read_limited(files: Files, name: str, max_bytes: int) -> bytes:
    """Return the bytes of an annotation file; raises a UserError if it has more than `max_bytes`."""
    content = files.read(name)
    if len(content) > max_bytes:
        raise UserError(f"{files.path}: {name} has {len(content):,} bytes, more than {max_bytes:,}: rejected")
    return content
