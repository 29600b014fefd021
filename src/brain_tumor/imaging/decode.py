"""Decoding one image file of any kind to gray pixels; image files are untrusted input."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from brain_tumor.core.types import Gray

MAX_PIXELS = 64_000_000  # of one image
PHOTOMETRIC_TAG, WHITE_IS_ZERO = 262, 0  # TIFF tag and its value for inverted gray levels
FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP")


class UnreadableImageError(ValueError):
    """The file cannot be read as an image; the message gives the reason."""


def decode_gray(content: bytes) -> Gray:
    """Decode an image file of any mode to gray, upright according to its EXIF tag.

    Returns:
        (H, W) uint8, 0 to 255. Color becomes ITU-R 601 luma, transparent pixels become black, and of 16 bits the
        high byte is kept (the low byte where no value exceeds 255).

    Raises:
        UnreadableImageError: not an image, a truncated file, more than MAX_PIXELS, or pixels that are negative,
            exceed 16 bits, or are not integers.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # The format is recognized by the content: many .jpg files of the public data sets are PNGs.
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise UnreadableImageError(f"{width}×{height} pixels, more than {MAX_PIXELS:,} in all")
                inverted = getattr(image, "tag_v2", {}).get(PHOTOMETRIC_TAG) == WHITE_IS_ZERO
                return _convert_to_gray(ImageOps.exif_transpose(image), inverted)
    except UnreadableImageError:
        raise
    except UnidentifiedImageError:
        raise UnreadableImageError("not an image file" if content else "an empty file") from None
    except Exception as error:  # decoders raise almost any exception on broken input
        raise UnreadableImageError(str(error) or type(error).__name__) from None


def _convert_to_gray(image: Image.Image, inverted: bool) -> Gray:
    if image.mode == "F":
        raise UnreadableImageError("floating-point pixels: no rule defines which values are black and white")
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min(initial=0) < 0 or values.max(initial=0) > 0xFFFF:
            raise UnreadableImageError(f"pixels from {values.min()} to {values.max()}: outside the range of 16 bits")
        if inverted:  # for 8 bits, Pillow inverts them itself
            values = 0xFFFF - values
        if values.max(initial=0) > 255:
            values >>= 8
        return values.astype(np.uint8)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image).convert("RGB")
    return np.asarray(image.convert("L"))
