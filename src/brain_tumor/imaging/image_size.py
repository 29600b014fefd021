"""Width and height of ordinary images from their headers; the pixels are not read."""

import io
import warnings

from PIL import Image

from brain_tumor.imaging.decode import FORMATS

ORIENTATION_TAG, SIDEWAYS = 0x0112, (5, 6, 7, 8)  # EXIF tag and its values that exchange width and height


def read_size(content: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels of an image that is upright by its EXIF tag; None if it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                width, height = image.size
                return (height, width) if image.getexif().get(ORIENTATION_TAG) in SIDEWAYS else (width, height)
    except Exception:  # decoders raise almost any exception on broken input
        return None
