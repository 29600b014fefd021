"""A zip archive of the user's own, found by its file name in the folders of DATA_ARCHIVES."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from brain_tumor.archive import RawImage
from brain_tumor.clinical import expand
from brain_tumor.errors import UserError
from brain_tumor.on_disk import find_on_disk
from brain_tumor.own import OwnFiles
from brain_tumor.zips import ZipFiles

log = logging.getLogger(__name__)


class Source(OwnFiles):
    """The archive's file name, and what it holds."""

    kind: Literal["archive"]
    file: str


def images(source: Source, scratch: Path) -> Iterator[RawImage]:
    """Yield the images of the archive; `scratch` is not used."""
    path = find_on_disk(source.file)
    if path is None:
        raise UserError(
            f"{source.file} was not found: put it into a folder and name the folder in the environment, "
            "as in DATA_ARCHIVES=/folder/of/archives dvc repro"
        )
    log.info("reading %s, found through DATA_ARCHIVES", path)
    with ZipFiles(path) as files:
        yield from expand(source.rows(files), source.volumes)
