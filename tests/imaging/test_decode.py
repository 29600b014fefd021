"""Decoding images: every mode, every kind of corruption."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.imaging.decode import UnreadableImageError, decode_gray

PIXELS = np.arange(12 * 20, dtype=np.uint8).reshape(12, 20)


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


GRAY = Image.fromarray(PIXELS)
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40)).astype(np.uint8))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_decode_gray_any_mode_keeps_gray_pixels(mode: str) -> None:
    image = GRAY.convert("RGB").quantize(256) if mode == "P" else GRAY.convert(mode)
    np.testing.assert_allclose(decode_gray(encode(image)).astype(int), PIXELS, atol=1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"])
def test_decode_gray_any_format_is_recognized_by_its_content(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    np.testing.assert_allclose(decode_gray(encode(GRAY, kind, **options)).astype(int), PIXELS, atol=4)


def test_decode_gray_color_is_luma_and_transparency_is_black() -> None:
    assert decode_gray(encode(Image.new("RGB", (2, 2), (255, 0, 0)))).tolist() == [[76, 76], [76, 76]]
    assert decode_gray(encode(Image.new("RGBA", (2, 2), (255, 255, 255, 0)))).max() == 0
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([255, 255, 255])
    assert decode_gray(encode(palette, transparency=0)).max() == 0


def test_decode_gray_other_depths_are_scaled_to_8_bits() -> None:
    deep = Image.fromarray((PIXELS.astype(np.uint16) << 8) + 17)
    assert (decode_gray(encode(deep)) == PIXELS).all()
    bits = Image.fromarray(PIXELS > 100)
    assert bits.mode == "1"
    assert (decode_gray(encode(bits)) == np.where(PIXELS > 100, 255, 0)).all()
    half_black = decode_gray(encode(Image.new("CMYK", (4, 3), (0, 0, 0, 128)), "JPEG"))
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
def test_decode_gray_unsupported_pixels_are_rejected(pixels: NDArray[Any]) -> None:
    with pytest.raises(UnreadableImageError, match=r"outside the range of 16 bits|floating-point"):
        decode_gray(encode(Image.fromarray(pixels), "TIFF"))


@pytest.mark.parametrize(("dtype", "top", "shift"), [(np.uint8, 255, 0), (np.uint16, 65535, 8)])
def test_decode_gray_white_is_zero_tiff_is_inverted(dtype: Any, top: int, shift: int) -> None:
    pixels = np.array([[0, top // 4, top]], dtype)
    content = encode(Image.fromarray(pixels), "TIFF")
    tag = b"\x06\x01\x03\x00\x01\x00\x00\x00"  # photometric interpretation, one short number
    assert content.count(tag + b"\x01\x00") == 1
    inverted = decode_gray(content.replace(tag + b"\x01\x00", tag + b"\x00\x00"))
    assert inverted.tolist() == [[(top - value) >> shift for value in (0, top // 4, top)]]


def test_decode_gray_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 270 degrees
    image = Image.new("L", (20, 12))
    image.paste(255, (0, 0, 10, 12))
    upright = decode_gray(encode(image, "JPEG", exif=exif))
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
def test_decode_gray_unreadable_file_has_the_same_message_each_time(content: bytes) -> None:
    messages = set()
    for _ in range(2):
        with pytest.raises(UnreadableImageError) as error:
            decode_gray(content)
        messages.add(str(error.value))
    assert len(messages) == 1
    assert "0x" not in messages.pop()


def test_decode_gray_too_many_pixels_are_rejected_before_decoding() -> None:
    bomb = encode(Image.new("1", (100_000, 700)))
    with pytest.raises(UnreadableImageError, match="100000×700 pixels"):
        decode_gray(bomb)


@given(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"]), st.data())
def test_decode_gray_mutated_file_is_decoded_or_rejected(kind: str, data: st.DataObject) -> None:
    content = bytearray(encode(GRAY, kind))
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=6)):
        content[position] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    try:
        pixels = decode_gray(bytes(content))
    except UnreadableImageError as error:
        message = str(error)
    else:
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 2
        return
    # A memory address would make the audit differ between runs.
    assert "0x" not in message
