"""Inspection of one image: whether it is usable, its pixels, and its thumbnails.

Only light modules are imported, since each worker process imports this one.
"""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from brain_tumor.audit.opencv import opencv_in_one_thread
from brain_tumor.audit.thumbnails import Thumbnails, make_thumbnails
from brain_tumor.imaging.decode import UnreadableImageError, decode_gray

# Returns the bytes of a path; it must be picklable, since it is called in other processes.
ReadFile = Callable[[str], bytes]


class ImageRecord(NamedTuple):
    """Audit record of one image.

    Attributes:
        pixels: SHA-256 of the size and the gray pixels; '' if unreadable.
        width, height: in pixels.
        problem: why the image is unusable (unreadable or blank), '' if it is usable.
        quality_warning: why the image does not look like a slice of a head, '' if it does.
        thumbnails: thumbnails for comparison with other images; None if the image is unusable.
    """

    pixels: str = ""
    width: int = 0
    height: int = 0
    problem: str = ""
    quality_warning: str = ""
    thumbnails: Thumbnails | None = None


def inspect_image(content: bytes) -> ImageRecord:
    """Decode one image file, hash its pixels and make its thumbnails. A blank image is readable, but a problem."""
    try:
        gray = decode_gray(content)
    except UnreadableImageError as error:
        return ImageRecord(problem=f"unreadable: {error}")
    height, width = gray.shape
    digest = hashlib.sha256(f"{width}x{height} ".encode() + gray.tobytes()).hexdigest()
    if gray.min() == gray.max():
        return ImageRecord(digest, width, height, "blank: all pixels are equal")
    thumbnails = make_thumbnails(gray)
    return ImageRecord(digest, width, height, "", thumbnails.quality_warning, thumbnails)


def read_and_inspect(read_file: ReadFile, path: str) -> ImageRecord:
    """Read and inspect one image file."""
    with opencv_in_one_thread():
        return inspect_image(read_file(path))
