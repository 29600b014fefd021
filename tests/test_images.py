"""Reading images: every mode, every kind of damage."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.images import UnreadableImageError, read_gray

PIXELS = np.arange(12 * 20, dtype=np.uint8).reshape(12, 20)


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


GRAY = Image.fromarray(PIXELS)
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40)).astype(np.uint8))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_gray_pixels_survive_every_mode(mode: str) -> None:
    image = GRAY.convert("RGB").quantize(256) if mode == "P" else GRAY.convert(mode)
    np.testing.assert_allclose(read_gray(encode(image)).astype(int), PIXELS, atol=1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"])
def test_the_format_is_told_from_the_content(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    np.testing.assert_allclose(read_gray(encode(GRAY, kind, **options)).astype(int), PIXELS, atol=4)


def test_color_is_luma_and_transparency_is_black() -> None:
    assert read_gray(encode(Image.new("RGB", (2, 2), (255, 0, 0)))).tolist() == [[76, 76], [76, 76]]
    assert read_gray(encode(Image.new("RGBA", (2, 2), (255, 255, 255, 0)))).max() == 0
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([255, 255, 255])
    assert read_gray(encode(palette, transparency=0)).max() == 0


def test_other_depths() -> None:
    wide = Image.fromarray((PIXELS.astype(np.uint16) << 8) + 17)
    assert (read_gray(encode(wide)) == PIXELS).all()
    bits = Image.fromarray(PIXELS > 100)
    assert bits.mode == "1"
    assert (read_gray(encode(bits)) == np.where(PIXELS > 100, 255, 0)).all()
    half_black = read_gray(encode(Image.new("CMYK", (4, 3), (0, 0, 0, 128)), "JPEG"))
    assert half_black.shape == (3, 4)
    np.testing.assert_allclose(half_black, 127, atol=2)


@pytest.mark.parametrize(
    "pixels",
    [
        np.array([[-5, 0, 200]], np.int32),
        np.array([[0, 2**30]], np.int32),
        np.array([[0.0, 0.5, 1.0]], np.float32),
    ],
)
def test_pixels_that_no_rule_scales_are_refused(pixels: NDArray[Any]) -> None:
    with pytest.raises(UnreadableImageError, match=r"more than 16 bits hold|floating-point"):
        read_gray(encode(Image.fromarray(pixels), "TIFF"))


@pytest.mark.parametrize(("dtype", "top", "shift"), [(np.uint8, 255, 0), (np.uint16, 65535, 8)])
def test_white_is_zero_in_some_scans(dtype: Any, top: int, shift: int) -> None:
    pixels = np.array([[0, top // 4, top]], dtype)
    content = encode(Image.fromarray(pixels), "TIFF")
    tag = b"\x06\x01\x03\x00\x01\x00\x00\x00"  # photometric interpretation, one short number
    assert content.count(tag + b"\x01\x00") == 1
    inverted = read_gray(content.replace(tag + b"\x01\x00", tag + b"\x00\x00"))
    assert inverted.tolist() == [[(top - value) >> shift for value in (0, top // 4, top)]]


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 270 degrees
    image = Image.new("L", (20, 12))
    image.paste(255, (0, 0, 10, 12))
    upright = read_gray(encode(image, "JPEG", exif=exif))
    assert upright.shape == (20, 12)
    assert upright[:8].mean() > 200 > 50 > upright[12:].mean()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>not found</html>",
        encode(NOISE)[:300],
        encode(NOISE, "JPEG")[:900],
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x01\x86\xa0\x00\x01\x86\xa0\x08\x00\x00\x00\x00",
    ],
)
def test_what_cannot_be_read_says_why_in_the_same_words_each_time(content: bytes) -> None:
    messages = set()
    for _ in range(2):
        with pytest.raises(UnreadableImageError) as error:
            read_gray(content)
        messages.add(str(error.value))
    assert len(messages) == 1
    assert "0x" not in messages.pop()


def test_too_many_pixels_are_refused_before_decoding() -> None:
    bomb = encode(Image.new("1", (100_000, 700)))
    with pytest.raises(UnreadableImageError, match="100000×700 pixels"):
        read_gray(bomb)


@given(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"]), st.data())
def test_mutated_files_are_read_or_refused(kind: str, data: st.DataObject) -> None:
    content = bytearray(encode(GRAY, kind))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    try:
        pixels = read_gray(bytes(content))
    except UnreadableImageError as error:
        message = str(error)
    else:
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 2
        return
    # A memory address would make the audit of every run another one.
    assert "0x" not in message
