"""Encoding pixels as image files."""

import io

import numpy as np
from PIL import Image

from brain_tumor.core.types import Gray, Masks


def encode_image(pixels: Gray, image_format: str = "PNG", **options: int) -> bytes:
    """Encode an image as a file.

    Args:
        pixels: (H, W) gray or (H, W, 3) color, 0 to 255.
        image_format: Pillow's name of the file format, such as "PNG" or "JPEG".
        options: passed on to Pillow's `save`.
    """
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, image_format, **options)
    return buffer.getvalue()


def encode_mask(mask: Masks) -> bytes:
    """Encode an (H, W) mask as a PNG file, 255 inside and 0 outside."""
    return encode_image(np.where(mask, 255, 0).astype(np.uint8))
