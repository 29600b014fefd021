"""A folder of the user, in the repository or in a folder of DATA_ARCHIVES."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.folder import FolderFiles
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.datasets.user_files import UserFiles
from brain_tumor.local_files import find_local_file

log = logging.getLogger(__name__)


class Source(UserFiles):
    """`datasets.<name>.source` for a folder.

    Attributes:
        path: path of the folder, relative to the repository or to a folder of DATA_ARCHIVES.
    """

    kind: Literal["folder"]
    path: str


def images(source: Source, scratch: Path, skipped: SkippedFiles) -> Iterator[RawImage]:
    """Yield the images of the folder; `scratch` is not used. Files that give no image are added to `skipped`.

    Raises:
        UserError: the folder was not found, or it contains no usable images.
    """
    path = Path(source.path) if Path(source.path).is_dir() else find_local_file(source.path)
    file = path if path is not None else Path(source.path)
    if file.exists() and not file.is_dir():
        raise UserError(f"{file} is a file, not a folder: set `kind: archive` and `file` if it is a zip or tar archive")
    if path is None:
        raise UserError(
            f"the folder {source.path} was not found: put it into the repository, or into another folder that is "
            "named in the environment, as in DATA_ARCHIVES=/folder/of/folders dvc repro"
        )
    log.info("reading the folder %s", path)
    yield from source.read(FolderFiles(path), skipped)
