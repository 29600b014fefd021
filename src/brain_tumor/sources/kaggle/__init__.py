"""A Kaggle data set: read from DATA_ARCHIVES if its archive is there, else downloaded with the Kaggle client."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from brain_tumor.datasets.clinical_files import TakesClinicalFiles
from brain_tumor.datasets.masks import TakesMasks
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.layout import Layout, read_by_layout
from brain_tumor.datasets.readers.zip_archive import ZipFiles
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.local_files import find_local_file
from brain_tumor.sources.kaggle.client import fetch

log = logging.getLogger(__name__)


class Source(TakesMasks, TakesClinicalFiles):
    """`datasets.<name>.source` for a Kaggle data set.

    Attributes:
        handle: `owner/slug`.
        version: number of the version, from 1.
        layout: which files of the archive are images.
    """

    kind: Literal["kaggle"]
    handle: str
    version: int
    layout: Layout


def images(source: Source, scratch: Path, skipped: SkippedFiles) -> Iterator[RawImage]:
    """Yield the data set's images; a download is kept in `scratch` for the next run.

    Members of the archive that give no image are added to `skipped`.

    Raises:
        UserError: an archive that cannot be downloaded, is unsafe or corrupted, or contains no usable images.
    """
    path = find_local_file(source.handle.split("/")[-1] + ".zip")
    if path is not None:
        log.info("reading %s from DATA_ARCHIVES, without a request to Kaggle", path)
    else:
        log.info("downloading %s, version %d, from Kaggle", source.handle, source.version)
        path = fetch(source.handle, source.version, scratch)
    with ZipFiles(path) as files:
        yield from source.convert(read_by_layout(files, source.layout, skipped), files, skipped)
