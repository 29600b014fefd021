"""A Kaggle data set: from an archive on disk if DATA_ARCHIVES has one, else through the Kaggle client."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from brain_tumor.archive import RawImage
from brain_tumor.on_disk import find_on_disk
from brain_tumor.params import Block
from brain_tumor.sources.kaggle.client import fetch
from brain_tumor.zips import Layout, read_images

log = logging.getLogger(__name__)


class Source(Block):
    """Handle (`owner/slug`), version, and the layout of the archive's folders."""

    kind: Literal["kaggle"]
    handle: str
    version: int
    layout: Layout


def images(source: Source, scratch: Path) -> Iterator[RawImage]:
    """Yield the data set's images; a download is kept in `scratch` for the next try."""
    path = find_on_disk(source.handle.split("/")[-1] + ".zip")
    if path is not None:
        log.info("reading %s, found through DATA_ARCHIVES: Kaggle is not asked", path)
    else:
        log.info("downloading %s, version %d, from Kaggle", source.handle, source.version)
        path = fetch(source.handle, source.version, scratch)
    return read_images(path, source.layout)
