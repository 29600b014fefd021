"""Encoded images, read back by Pillow."""

import io

import numpy as np
import pytest
from PIL import Image

from brain_tumor.imaging.encode import encode_image, encode_mask

GRAY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


@pytest.mark.parametrize(("pixels", "mode"), [(GRAY, "L"), (GRAY[:, ::-2], "L"), (np.stack([GRAY] * 3, -1), "RGB")])
def test_encode_image_png_keeps_all_pixels(pixels: np.ndarray, mode: str) -> None:
    image = Image.open(io.BytesIO(encode_image(pixels)))
    assert (image.format, image.mode) == ("PNG", mode)
    assert np.array_equal(np.asarray(image), pixels)


def test_encode_image_options_are_those_of_the_format() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    low, high = (encode_image(noise, "JPEG", quality=quality) for quality in (30, 90))
    assert Image.open(io.BytesIO(low)).format == "JPEG"
    assert len(low) < len(high)


def test_encode_mask_is_255_inside_and_0_outside() -> None:
    mask = GRAY > 100
    assert np.asarray(Image.open(io.BytesIO(encode_mask(mask)))).tolist() == [[0] * 4, [0, 0, 255, 255], [255] * 4]
