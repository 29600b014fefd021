"""Reading the images of a zip archive by a layout."""

from collections.abc import Iterator
from pathlib import Path

from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.layout import Layout, read_by_layout
from brain_tumor.datasets.readers.zip_archive import ZipFiles
from brain_tumor.datasets.skipped import SkippedFiles


def read_images(path: Path, layout: Layout, skipped: SkippedFiles) -> Iterator[RawImage]:
    """Yield the images of the zip archive at `path` that match `layout`."""
    with ZipFiles(path) as files:
        yield from read_by_layout(files, layout, skipped)
