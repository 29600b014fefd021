"""Pixels as image files."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def encode(pixels: NDArray[np.uint8], kind: str = "PNG", **options: int) -> bytes:
    """Encode an (H, W) gray or (H, W, 3) color image of 0 to 255; `options` are those of Pillow's `save`."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, kind, **options)
    return buffer.getvalue()


def encode_mask(mask: NDArray[np.bool_]) -> bytes:
    """Encode an (H, W) mask as a PNG file, 255 inside and 0 outside."""
    return encode(np.where(mask, 255, 0).astype(np.uint8))
