"""A folder of the user's own, in the repository or in one of the folders of DATA_ARCHIVES.

DVC does not watch the folder: after a change in it, run the download again with `dvc repro -f -s`.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from brain_tumor.archive import RawImage
from brain_tumor.clinical import expand
from brain_tumor.errors import UserError
from brain_tumor.folders import FolderFiles
from brain_tumor.on_disk import find_on_disk
from brain_tumor.own import OwnFiles

log = logging.getLogger(__name__)


class Source(OwnFiles):
    """The folder's path, relative to the repository or to a folder of DATA_ARCHIVES, and what it holds."""

    kind: Literal["folder"]
    path: str


def images(source: Source, scratch: Path) -> Iterator[RawImage]:
    """Yield the images of the folder; `scratch` is not used."""
    path = Path(source.path) if Path(source.path).is_dir() else find_on_disk(source.path)
    if path is None or not path.is_dir():
        raise UserError(
            f"the folder {source.path} was not found: put it into the repository, or into another folder that you "
            "name in the environment, as in DATA_ARCHIVES=/folder/of/folders dvc repro"
        )
    log.info("reading the folder %s", path)
    yield from expand(source.rows(FolderFiles(path)), source.volumes)
