"""A zip or tar archive of the user, searched for by its file name in the folders of DATA_ARCHIVES."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.open_archive import open_archive
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.datasets.user_files import UserFiles
from brain_tumor.local_files import find_local_file

log = logging.getLogger(__name__)


class Source(UserFiles):
    """`datasets.<name>.source` for an archive: zip, tar, tar.gz or tar.bz2.

    Attributes:
        file: file name of the archive.
    """

    kind: Literal["archive"]
    file: str


def images(source: Source, scratch: Path, skipped: SkippedFiles) -> Iterator[RawImage]:
    """Yield the images of the archive; a compressed tar archive needs space for its content in `scratch`.

    Members that give no image are added to `skipped`.

    Raises:
        UserError: the archive was not found, is unsafe or corrupted, or contains no usable images.
    """
    path = find_local_file(source.file)
    if path is None:
        raise UserError(
            f"{source.file} was not found: put it into a folder and name that folder in the environment, "
            "as in DATA_ARCHIVES=/folder/of/archives dvc repro"
        )
    log.info("reading %s from DATA_ARCHIVES", path)
    with open_archive(path, scratch) as files:
        yield from source.read(files, skipped)
