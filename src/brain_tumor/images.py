"""Reading one image file, whatever it is, as gray pixels; images are untrusted input."""

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_PIXELS = 64_000_000
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # a TIFF tag and its value
FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP")


class UnreadableImageError(ValueError):
    """The file is no image that can be read; the message says why."""


def read_gray(content: bytes) -> NDArray[np.uint8]:
    """Decode an image file of any mode to gray, upright by its EXIF tag.

    Returns:
        (H, W) uint8, 0 to 255. Color becomes ITU-R 601 luma, transparency black, 16 bits their high byte
        (as they are where none exceeds 255).

    Raises:
        UnreadableImageError: not an image, truncated, more than MAX_PIXELS, or pixels that are negative, of more
            than 16 bits, or no whole numbers.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # The format is told from the content: many .jpg files of the public sets are PNGs.
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise UnreadableImageError(f"{width}×{height} pixels, more than {MAX_PIXELS:,} in all")
                inverted = getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO
                return _gray(ImageOps.exif_transpose(image), inverted)
    except UnreadableImageError:
        raise
    except UnidentifiedImageError:
        raise UnreadableImageError("not an image file" if content else "an empty file") from None
    except Exception as error:  # decoders raise nearly anything on broken input
        raise UnreadableImageError(str(error) or type(error).__name__) from None


def _gray(image: Image.Image, inverted: bool) -> NDArray[np.uint8]:
    if image.mode == "F":
        raise UnreadableImageError("floating-point pixels, of which no rule says what is black and what is white")
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.int64)
        if wide.min(initial=0) < 0 or wide.max(initial=0) > 0xFFFF:
            raise UnreadableImageError(f"pixels from {wide.min()} to {wide.max()}, more than 16 bits hold")
        if inverted:  # Pillow does so itself where there are 8 bits
            wide = 0xFFFF - wide
        if wide.max(initial=0) > 255:
            wide >>= 8
        return wide.astype(np.uint8)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image).convert("RGB")
    return np.asarray(image.convert("L"))
