"""A zip or tar archive of the user, searched for by its file name in the folders of DATA_ARCHIVES."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.open_archive import find_archive, open_archive
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.datasets.user_files import UserFiles

log = logging.getLogger(__name__)


class Source(UserFiles):
    """`datasets.<name>.source` for an archive: zip, tar, tar.gz or tar.bz2.

    Attributes:
        file: file name of the archive.
    """

    kind: Literal["archive"]
    file: str = Field(min_length=1)


def images(source: Source, scratch: Path, skipped: SkippedFiles) -> Iterator[RawImage]:
    """Yield the images of the archive; a compressed tar archive needs space for its content in `scratch`.

    Members that give no image are added to `skipped`.

    Raises:
        UserError: the archive was not found, is unsafe or corrupted, or contains no usable images.
    """
    path = find_archive(source.file)
    log.info("reading %s from DATA_ARCHIVES", path)
    with open_archive(path, scratch) as files:
        yield from source.read(files, skipped)
