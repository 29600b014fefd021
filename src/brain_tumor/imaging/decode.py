"""Decoding one image file of an ordinary format to gray pixels; image files are untrusted input."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from brain_tumor.core.types import Gray, Masks
from brain_tumor.imaging.scaling import scale_by_percentiles, to_gray_levels

MAX_PIXELS = 64_000_000  # of one image
MAX_PAGES = 4096  # of one file
MAX_FILE_PIXELS = 512 * 512 * 512  # of all pages or frames of a file together
MIN_FULL_RANGE = 2**15  # largest value from which 16 bits are in full use
PHOTOMETRIC_TAG, WHITE_IS_ZERO = 262, 0  # TIFF tag and its value for inverted gray levels
BITS_TAG = 258  # of TIFF: bits per sample
SUBFILE_TAG, REDUCED_RESOLUTION = 254, 1  # TIFF tag and its bit for a smaller copy of another page
FORMATS = ("JPEG", "JPEG2000", "PNG", "TIFF", "BMP", "GIF", "WEBP")
LOSSY_FORMATS = ("JPEG", "MPO", "WEBP")
PNG_SIGNATURE_BYTES, PNG_CHUNK_OVERHEAD_BYTES = 8, 12  # of a chunk: length, type and checksum
# JPEG files of phones hold small previews after the image: they are no pages.
SINGLE_PAGE_FORMATS = ("JPEG", "MPO", "JPEG2000", "BMP")


class UnreadableImageError(ValueError):
    """The file cannot be read as an image; the message gives the reason."""


def decode_gray(content: bytes) -> Gray:
    """Decode a file with one image of any mode to gray, upright according to its EXIF tag.

    Color becomes ITU-R 601 luma, and transparent pixels become black. Of integers of more than 8 bits, values from 0 to
    255 stay as they are, and of values that use the whole range of 16 bits (the largest is MIN_FULL_RANGE or more) the
    high byte is kept. All others (such as 12 bits in 16, signed and floating-point values) are scaled by the data,
    since files rarely state the range in use: the 0.5th percentile becomes 0 and the 99.8th becomes 255, see
    `scaling.scale_by_percentiles`.

    Returns:
        (H, W) uint8, 0 to 255.

    Raises:
        UnreadableImageError: not an image, a truncated file, more than MAX_PIXELS, or several images: `decode_pages`
            reads those.
    """
    with _opened(content) as image:
        if (count := _count_pages(image)) > 1:
            raise UnreadableImageError(f"{count} images in one file: save each of them as a file of its own")
        return _convert_to_gray(image, content)


def count_pages(content: bytes) -> int:
    """Count the images in a file: pages of a TIFF file, frames of an animation; 0 if it cannot be read."""
    try:
        with _opened(content) as image:
            return _count_pages(image)
    except UnreadableImageError:
        return 0


def decode_pages(content: bytes) -> list[Gray]:
    """Decode all pages of a TIFF file, or all frames of a GIF, PNG or WebP animation, each like `decode_gray`.

    TIFF pages that are marked as a smaller copy of another page are left out.

    Raises:
        UnreadableImageError: see `decode_gray`; also more than MAX_PAGES, or more than MAX_FILE_PIXELS in all.
    """
    with _opened(content) as image:
        if _count_pages(image) == 1:
            return [_convert_to_gray(image, content)]
        count = getattr(image, "n_frames", 1)
        if count > MAX_PAGES:
            raise UnreadableImageError(f"{count} images in one file, more than {MAX_PAGES:,}")
        pages, pixels = [], 0
        for number in range(count):
            image.seek(number)
            if _is_reduced_copy(image):
                continue
            _reject_large(image.size)
            pixels += image.width * image.height
            if pixels > MAX_FILE_PIXELS:
                raise UnreadableImageError(f"more than {MAX_FILE_PIXELS:,} pixels in all")
            pages.append(_convert_to_gray(image.copy(), b""))
        return pages


def decode_mask(content: bytes) -> Masks:
    """Decode a file with one image as a mask: every value above 0 is inside.

    In lossy formats (JPEG, WebP), where compression adds values near 0, values above half the largest one are inside.

    Returns:
        (H, W).

    Raises:
        UnreadableImageError: see `decode_gray`.
    """
    with _opened(content) as image:
        if (count := _count_pages(image)) > 1:
            raise UnreadableImageError(f"{count} images in one file: a mask must be one image")
        lossy = image.format in LOSSY_FORMATS
        upright = ImageOps.exif_transpose(image)
        if upright.mode == "F" or upright.mode.startswith("I"):
            mask: Masks = np.asarray(upright) > 0
            return mask
        values = np.asarray(_blend_on_black(upright).convert("RGB")).max(axis=2)
        inside: Masks = values > (values.max(initial=0) / 2 if lossy else 0)
        return inside


@contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    """Open an image; everything that its decoder raises becomes an UnreadableImageError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # The format is recognized by the content: many .jpg files of the public data sets are PNGs.
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                _reject_large(image.size)
                yield image
    except UnreadableImageError:
        raise
    except UnidentifiedImageError:
        raise UnreadableImageError("not an image file" if content else "an empty file") from None
    except Exception as error:  # decoders raise almost any exception on broken input
        raise UnreadableImageError(str(error) or type(error).__name__) from None


def _reject_large(size: tuple[int, int]) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise UnreadableImageError(f"{width}×{height} pixels, more than {MAX_PIXELS:,} in all")


def _count_pages(image: Image.Image) -> int:
    if image.format in SINGLE_PAGE_FORMATS:
        return 1
    count = int(getattr(image, "n_frames", 1))
    if count == 1 or image.format != "TIFF":
        return count
    pages = 0
    for number in range(min(count, MAX_PAGES)):
        image.seek(number)
        pages += not _is_reduced_copy(image)
    image.seek(0)
    return max(1, pages)


def _is_reduced_copy(image: Image.Image) -> bool:
    flags = getattr(image, "tag_v2", {}).get(SUBFILE_TAG, 0)
    return isinstance(flags, int) and bool(flags & REDUCED_RESOLUTION)


def _convert_to_gray(image: Image.Image, content: bytes) -> Gray:
    """Convert an image to gray.

    Args:
        image: opened, at the page to convert.
        content: the file, if it has this page only; color of 16 bits is decoded from it, which Pillow reduces to 8.
    """
    inverted = getattr(image, "tag_v2", {}).get(PHOTOMETRIC_TAG) == WHITE_IS_ZERO
    if content and _has_deep_color(image, content):
        image.load()  # raises an error for a truncated file, which OpenCV would fill with zeros
        if image.format == "PNG":
            _require_whole_chunks(content)
        return _decode_deep_color(content)
    image = ImageOps.exif_transpose(image)
    if image.mode == "F" or image.mode.startswith("I"):
        gray = _scale_deep(np.asarray(image))
        return 255 - gray if inverted else gray  # for 8 bits, Pillow inverts them itself
    return np.asarray(_blend_on_black(image).convert("L"))


def _scale_deep(values: NDArray[Any]) -> Gray:
    """Scale values (H, W) of more than 8 bits to gray levels."""
    largest = values.max(initial=0)
    if values.dtype.kind in "iu" and values.min(initial=0) >= 0:
        if largest <= 255:
            return values.astype(np.uint8)
        if MIN_FULL_RANGE <= largest <= 0xFFFF:
            return (values >> 8).astype(np.uint8)
    return to_gray_levels(scale_by_percentiles(values.astype(np.float64)))


def _blend_on_black(image: Image.Image) -> Image.Image:
    """Return the image with transparent pixels blended on black."""
    if image.mode not in ("RGBA", "LA", "PA") and "transparency" not in image.info:
        return image
    image = image.convert("RGBA")
    black = Image.new("RGBA", image.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, image).convert("RGB")


def _has_deep_color(image: Image.Image, content: bytes) -> bool:
    """Return whether a file is a PNG or TIFF file of 16 bits with color or transparency."""
    if image.format == "PNG":
        return content[24:25] == b"\x10" and content[25:26] in (b"\2", b"\4", b"\6")
    bits = getattr(image, "tag_v2", {}).get(BITS_TAG, ())
    return isinstance(bits, tuple) and len(bits) >= 3 and set(bits) == {16}


def _require_whole_chunks(png: bytes) -> None:
    """Raise an UnreadableImageError if a chunk of a PNG file is longer than the file: OpenCV would allocate it."""
    position = PNG_SIGNATURE_BYTES
    while position < len(png):
        position += int.from_bytes(png[position : position + 4], "big") + PNG_CHUNK_OVERHEAD_BYTES
    if position > len(png):
        raise UnreadableImageError("a truncated PNG file")


def _decode_deep_color(content: bytes) -> Gray:
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise UnreadableImageError("color of 16 bits that cannot be decoded")
    values = pixels.astype(np.float64)
    if values.ndim == 3:
        blue, green, red = (values[..., channel] for channel in range(3))
        alpha = values[..., 3] / 0xFFFF if values.shape[2] == 4 else 1.0
        values = (0.299 * red + 0.587 * green + 0.114 * blue) * alpha
    return _scale_deep(np.rint(values).astype(np.uint16))
