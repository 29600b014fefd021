"""Small data sets with boxes in annotation files, as folders and as archives."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.skipped import SkippedFiles
from heads import png


def make_png(width: int = 100, height: int = 50) -> bytes:
    """Make a black image."""
    return png(np.zeros((height, width), np.uint8))


def write_folder(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    """Write files by their names into a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def reasons_of(skipped: SkippedFiles) -> dict[str, str]:
    """Return the reason of each skipped file."""
    return dict(skipped.table().itertuples(index=False))


def read_folder(
    root: Path, files: Mapping[str, bytes | str], read: Callable[[str, SkippedFiles], Iterable[RawImage]]
) -> tuple[list[RawImage], dict[str, str]]:
    """Read files as a folder; every file must become an image or have a reason.

    Args:
        root: where the folder is written.
        files: contents by name.
        read: yields the images of the folder at a path.

    Returns:
        The images, and the reasons for all other files.
    """
    folder, skipped = write_folder(root / "data", files), SkippedFiles()
    images = list(read(str(folder), skipped))
    reasons = reasons_of(skipped)
    assert {image.path for image in images} | reasons.keys() == files.keys()
    assert len(images) + len(reasons) == len(files)
    return images, reasons


def summarize(images: list[RawImage]) -> list[tuple[str, str, str, str]]:
    """Return path, label, split and boxes of each image."""
    return [(image.path, image.label, image.split, image.box) for image in images]
