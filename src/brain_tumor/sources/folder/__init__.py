"""A folder of the user, in the repository or in a folder of DATA_ARCHIVES."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.folder import FolderFiles, find_folder
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.datasets.user_files import UserFiles

log = logging.getLogger(__name__)


class Source(UserFiles):
    """`datasets.<name>.source` for a folder.

    Attributes:
        path: path of the folder, relative to the repository or to a folder of DATA_ARCHIVES.
    """

    kind: Literal["folder"]
    path: str = Field(min_length=1)


def images(source: Source, scratch: Path, skipped: SkippedFiles) -> Iterator[RawImage]:
    """Yield the images of the folder; `scratch` is not used. Files that give no image are added to `skipped`.

    Raises:
        UserError: the folder was not found, or it contains no usable images.
    """
    path = find_folder(source.path, "set `kind: archive` and `file`")
    log.info("reading the folder %s", path)
    yield from source.read(FolderFiles(path), skipped)
