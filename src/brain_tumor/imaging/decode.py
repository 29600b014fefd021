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

from brain_tumor.core.types import Floats, Gray, Masks
from brain_tumor.imaging.formats import RASTER_MAGIC
from brain_tumor.imaging.scaling import lower_outliers, scale_by_percentiles, to_gray_levels

MAX_PIXELS = 64_000_000  # of one image
MAX_PAGES = 4096  # of one file
MAX_FILE_PIXELS = 512 * 512 * 512  # of all pages or frames of a file together
MIN_FULL_RANGE = 2**15  # largest value from which 16 bits are in full use
PHOTOMETRIC_TAG, WHITE_IS_ZERO = 262, 0  # TIFF tag and its value for inverted gray levels
BITS_TAG = 258  # of TIFF: bits per sample
SAMPLE_FORMAT_TAG, SIGNED = 339, 2  # TIFF tag and its value for signed integers; without it they are unsigned
DECODED_PAGES = 64  # that OpenCV decodes at a time, since it reads a file from its beginning each time
SUBFILE_TAG, REDUCED_RESOLUTION = 254, 1  # TIFF tag and its bit for a smaller copy of another page
FORMATS = ("JPEG", "JPEG2000", "PNG", "TIFF", "BMP", "GIF", "WEBP")
LOSSY_FORMATS = ("JPEG", "MPO", "WEBP")
PNG_SIGNATURE_BYTES, PNG_CHUNK_OVERHEAD_BYTES = 8, 12  # of a chunk: length, type and checksum
# JPEG files of phones hold small previews after the image: they are no pages.
SINGLE_PAGE_FORMATS = ("JPEG", "MPO", "JPEG2000", "BMP")


DeepPages = dict[int, NDArray[Any]]


class UnreadableImageError(ValueError):
    """The file cannot be read as an image; the message gives the reason."""


class NoImageError(ValueError):
    """A sound file that gives no image: it has no pixels, or is of a kind that is not supported."""


def decode_gray(content: bytes) -> Gray:
    """Decode a file with one image of any mode to gray, upright according to its EXIF tag.

    Color becomes ITU-R 601 luma, and transparent pixels become black. Of integers of more than 8 bits, values from 0 to
    255 stay as they are. Of values that use the whole range of 16 bits, the high byte is kept: the largest is
    MIN_FULL_RANGE or more, also without the few that `scaling.lower_outliers` lowers. All others (such as 12 bits in
    16, signed and floating-point values) are scaled by the data, since files rarely state the range in use: the 0.5th
    percentile becomes 0 and the 99.8th becomes 255, see `scaling.scale_by_percentiles`.

    Returns:
        (H, W) uint8, 0 to 255.

    Raises:
        UnreadableImageError: not an image, a truncated file, more than MAX_PIXELS, or several images: `decode_pages`
            reads those.
    """
    with _opened(content) as image:
        if (count := _count_pages(image)) > 1:
            raise UnreadableImageError(f"{count} images in one file: save each of them as a file of its own")
        return _convert_to_gray(image, content, 0, {})


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
        cache: DeepPages = {}
        return [_convert_to_gray(image, content, number, cache) for number in _seek_pages(image)]


def decode_mask(content: bytes) -> Masks:
    """Decode a file with one image as a mask, see `decode_mask_pages`.

    Returns:
        (H, W).

    Raises:
        UnreadableImageError: see `decode_gray`.
    """
    if (count := count_pages(content)) > 1:
        raise UnreadableImageError(f"{count} images in one file: a mask must be one image")
    return decode_mask_pages(content)[0]


def decode_mask_pages(content: bytes) -> list[Masks]:
    """Decode a file with one or several images as masks: every value above 0 is inside.

    In lossy formats (JPEG, WebP), where compression adds values near 0, values above half the largest one are inside.

    Returns:
        (H, W) for each image.

    Raises:
        UnreadableImageError: see `decode_pages`.
    """
    with _opened(content) as image:
        cache: DeepPages = {}
        return [_convert_to_mask(image, content, number, cache) for number in _seek_pages(image)]


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
        raise UnreadableImageError(_describe_unidentified(content)) from None
    except Exception as error:  # decoders raise almost any exception on broken input
        raise UnreadableImageError(str(error) or type(error).__name__) from None


def _describe_unidentified(content: bytes) -> str:
    if content.startswith(RASTER_MAGIC):
        return "an image file that is damaged or of a kind that is not supported"
    return "not an image file" if content else "an empty file"


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
    flags = _tag(image, SUBFILE_TAG)
    return isinstance(flags, int) and bool(flags & REDUCED_RESOLUTION)


def _seek_pages(image: Image.Image) -> Iterator[int]:
    """Go to each page of an opened image, and yield its number; smaller copies of another page are left out.

    Raises:
        UnreadableImageError: more than MAX_PAGES, more than MAX_PIXELS in one, or more than MAX_FILE_PIXELS in all.
    """
    if _count_pages(image) == 1:
        yield 0
        return
    count, pixels = getattr(image, "n_frames", 1), 0
    if count > MAX_PAGES:
        raise UnreadableImageError(f"{count} images in one file, more than {MAX_PAGES:,}")
    for number in range(count):
        image.seek(number)
        if _is_reduced_copy(image):
            continue
        _reject_large(image.size)
        pixels += image.width * image.height
        if pixels > MAX_FILE_PIXELS:
            raise UnreadableImageError(f"more than {MAX_FILE_PIXELS:,} pixels in all")
        yield number


def _convert_to_gray(image: Image.Image, content: bytes, number: int, cache: DeepPages) -> Gray:
    """Convert a page to gray.

    Args:
        image: opened, at the page to convert.
        content: the file; color of 16 bits is decoded from it, which Pillow reduces to 8.
        number: number of the page.
        cache: pages of 16 bits with color, by number, as OpenCV decoded them.
    """
    inverted = _tag(image, PHOTOMETRIC_TAG) == WHITE_IS_ZERO
    if _has_deep_color(image, content):
        color = _decode_deep_color(image, content, number, cache)
        blue, green, red = (color[..., channel] for channel in range(3))
        return _scale_deep(np.rint(0.299 * red + 0.587 * green + 0.114 * blue).astype(np.uint16))
    upright = _upright(image)
    values = _read_values(image, upright)
    if values is None:
        return np.asarray(_blend_on_black(upright).convert("L"))
    gray = _scale_deep(values)
    return 255 - gray if inverted else gray  # for unsigned 8 bits, Pillow inverts them itself


def _convert_to_mask(image: Image.Image, content: bytes, number: int, cache: DeepPages) -> Masks:
    """Convert a page to a mask, see `decode_mask_pages`; the arguments are those of `_convert_to_gray`."""
    inside: Masks
    if _has_deep_color(image, content):
        inside = _decode_deep_color(image, content, number, cache).max(axis=2) > 0
        return inside
    upright = _upright(image)
    values = _read_values(image, upright)
    if values is not None:
        inside = values > 0
        return inside
    levels = np.asarray(_blend_on_black(upright).convert("RGB")).max(axis=2)
    inside = levels > (levels.max(initial=0) / 2 if image.format in LOSSY_FORMATS else 0)
    return inside


def _upright(image: Image.Image) -> Image.Image:
    """Return the current page of an image, upright according to its EXIF tag."""
    has_pages = image.format not in SINGLE_PAGE_FORMATS and getattr(image, "n_frames", 1) > 1
    return ImageOps.exif_transpose(image.copy() if has_pages else image)


def _read_values(image: Image.Image, upright: Image.Image) -> NDArray[Any] | None:
    """Return the values (H, W) of the current page if it is gray and not of unsigned 8 bits, otherwise None."""
    is_signed = _tag(image, SAMPLE_FORMAT_TAG) in (SIGNED, (SIGNED,))
    if upright.mode == "L" and is_signed:
        return np.asarray(upright).view(np.int8)
    if upright.mode != "F" and not upright.mode.startswith("I"):
        return None
    values = np.asarray(upright)
    # Pillow reads unsigned integers of 32 bits as signed ones.
    is_unsigned = image.format == "TIFF" and not is_signed and _tag(image, BITS_TAG) in (32, (32,))
    return values.view(np.uint32) if values.dtype == np.int32 and is_unsigned else values


def _tag(image: Image.Image, number: int) -> Any:
    """Return the value of a TIFF tag of the current page, None if it has none."""
    return getattr(image, "tag_v2", {}).get(number)


def _scale_deep(values: NDArray[Any]) -> Gray:
    """Scale values (H, W) of more than 8 bits, or signed ones, to gray levels."""
    if values.dtype.kind in "iu" and values.min(initial=0) >= 0:
        if values.max(initial=0) <= 255:
            return values.astype(np.uint8)
        # A hot pixel or burned-in text does not make full use of the range.
        if values.max() <= 0xFFFF and lower_outliers(values).max() >= MIN_FULL_RANGE:
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
    bits = _tag(image, BITS_TAG)
    return isinstance(bits, tuple) and len(bits) >= 3 and set(bits) == {16}


def _require_whole_chunks(png: bytes) -> None:
    """Raise an UnreadableImageError if a chunk of a PNG file is longer than the file: OpenCV would allocate it."""
    position = PNG_SIGNATURE_BYTES
    while position < len(png):
        position += int.from_bytes(png[position : position + 4], "big") + PNG_CHUNK_OVERHEAD_BYTES
    if position > len(png):
        raise UnreadableImageError("a truncated PNG file")


def _decode_deep_color(image: Image.Image, content: bytes, number: int, cache: DeepPages) -> Floats:
    """Decode a page of 16 bits with color or transparency: blue, green and red (H, W, 3), blended on black."""
    image.load()  # raises an error for a truncated file, which OpenCV would fill with zeros
    if image.format == "PNG":
        _require_whole_chunks(content)
    data = np.frombuffer(content, np.uint8)
    pixels: NDArray[Any] | None
    if getattr(image, "n_frames", 1) == 1:
        pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    else:
        if number not in cache:
            cache.clear()
            pages = cv2.imdecodemulti(data, cv2.IMREAD_UNCHANGED, range=(number, number + DECODED_PAGES))[1]
            cache.update(enumerate(pages, number))
        pixels = cache.get(number)
    if pixels is None:
        raise UnreadableImageError("color of 16 bits that cannot be decoded")
    values = pixels.astype(np.float64)
    if values.ndim == 2:
        return np.repeat(values[..., None], 3, axis=2)
    return values[..., :3] * (values[..., 3:] / 0xFFFF if values.shape[2] == 4 else 1.0)
