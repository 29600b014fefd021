"""Decoding images: every mode, every kind of corruption."""

import io
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from brain_tumor.imaging.decode import (
    UnreadableImageError,
    count_pages,
    decode_gray,
    decode_mask,
    decode_mask_pages,
    decode_pages,
)

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


RAMP = np.linspace(0, 1, 4000).reshape(40, 100)
RULE = np.rint(255 * ((RAMP - 0.005) / (0.998 - 0.005)).clip(0, 1)).astype(np.uint8)  # of the percentiles of a ramp


@pytest.mark.parametrize(
    "values",
    [
        (RAMP * 900).astype(np.uint16),
        (RAMP * 4095).astype(np.uint16),
        (RAMP * 32_767).astype(np.uint16),
        (RAMP * 1896 - 500).astype(np.int32),
        (RAMP * 2**30).astype(np.int32),
        RAMP.astype(np.float32),
        (RAMP * 1e6 - 3e5).astype(np.float32),
    ],
)
def test_decode_gray_part_of_a_range_is_scaled_by_percentiles(values: NDArray[Any]) -> None:
    np.testing.assert_allclose(decode_gray(encode(Image.fromarray(values), "TIFF")).astype(int), RULE, atol=1)


@pytest.mark.parametrize(("largest", "expected"), [(255, 255), (256, 255), (32_767, 255), (32_768, 128)])
def test_decode_gray_rule_of_16_bits_depends_on_the_largest_value(largest: int, expected: int) -> None:
    pixels = decode_gray(encode(Image.fromarray((RAMP * largest).astype(np.uint16))))
    assert pixels.max() == expected


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("largest", [4095, 65535])
def test_decode_gray_color_of_16_bits_follows_the_same_rule(kind: str, largest: int) -> None:
    values = (RAMP * largest).astype(np.uint16)
    _, content = cv2.imencode(f".{kind.lower()}", np.stack([values] * 3, 2))
    gray = decode_gray(encode(Image.fromarray(values)))
    np.testing.assert_allclose(decode_gray(content.tobytes()).astype(int), gray, atol=1)
    with pytest.raises(UnreadableImageError):
        decode_gray(content.tobytes()[:-300])


def test_decode_gray_values_that_are_not_finite_are_black() -> None:
    values = (RAMP + 1).astype(np.float32)
    values[:10] = np.nan
    pixels = decode_gray(encode(Image.fromarray(values), "TIFF"))
    assert pixels[:10].max() == 0
    assert (np.diff(pixels[10:].ravel().astype(int)) >= 0).all()
    assert pixels[10:].max() == 255


PAGES = [Image.fromarray(np.roll(PIXELS, step, 1)) for step in range(3)]


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "PNG", "WEBP"])
def test_decode_pages_all_pages_are_read_and_decode_gray_refuses(kind: str) -> None:
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    content = encode(PAGES[0], kind, save_all=True, append_images=PAGES[1:], **options)
    assert count_pages(content) == 3
    pages = decode_pages(content)
    for page, expected in zip(pages, PAGES, strict=True):
        np.testing.assert_allclose(page.astype(int), np.asarray(expected), atol=1)
    with pytest.raises(UnreadableImageError, match="3 images in one file"):
        decode_gray(content)
    single = encode(PAGES[0], kind, **options)
    assert (count_pages(single), len(decode_pages(single))) == (1, 1)
    assert np.array_equal(decode_pages(single)[0], decode_gray(single))


def test_decode_pages_smaller_copy_of_a_page_is_no_page() -> None:
    content = encode(PAGES[0], "TIFF", save_all=True, append_images=[PAGES[0].resize((5, 3))])
    assert count_pages(content) == 2
    # The second directory gets the tag NewSubfileType with the bit for a reduced copy.
    stream = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(stream, new=True) as writer:
        PAGES[0].save(writer, "TIFF")
        writer.newFrame()
        PAGES[0].resize((5, 3)).save(writer, "TIFF", tiffinfo={254: 1})
        writer.newFrame()
    assert count_pages(stream.getvalue()) == 1
    assert np.array_equal(decode_gray(stream.getvalue()), PIXELS)


@pytest.mark.parametrize("values", [[0, 1, 2, 4], [0, 255, 128, 1]])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_decode_mask_everything_above_0_is_inside(values: list[int], dtype: Any) -> None:
    mask = decode_mask(encode(Image.fromarray(np.array([values], dtype))))
    assert mask.tolist() == [[False, True, True, True]]


def test_decode_mask_lossy_format_needs_half_of_the_largest_value() -> None:
    square = np.zeros((64, 64), np.uint8)
    square[19:41, 13:50] = 255
    content = encode(Image.fromarray(square), "JPEG", quality=40)
    assert (decode_gray(content) > 0).sum() > (square > 0).sum(), "JPEG adds values near 0"
    assert np.array_equal(decode_mask(content), square > 0)
    assert not decode_mask(encode(Image.fromarray(np.zeros((8, 8), np.uint8)), "JPEG")).any()


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


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("kind", [".png", ".tiff"])
def test_decode_mask_color_of_16_bits_counts_small_values(kind: str, channels: int) -> None:
    values = np.zeros((32, 32, channels), np.uint16)
    values[20:30, 20:30, 0] = 3
    if channels == 4:
        values[..., 3] = 0xFFFF
    content = cv2.imencode(kind, values)[1].tobytes()
    assert np.array_equal(decode_mask(content), values[..., 0] > 0)


@pytest.mark.parametrize(
    "page",
    [
        np.pad(np.full((2, 2), 1000, np.uint16), 20),
        np.pad(np.array([[4, 40_000]], np.uint16), 20),
        np.pad(np.full((2, 2, 3), (0, 0, 4), np.uint8), ((20, 20), (20, 20), (0, 0))),
    ],
)
def test_decode_mask_pages_are_like_single_masks(page: NDArray[Any]) -> None:
    image = Image.fromarray(page)
    single = decode_mask(encode(image, "TIFF"))
    assert single.sum() == np.count_nonzero(page.reshape(*page.shape[:2], -1).max(2))
    for mask in decode_mask_pages(encode(image, "TIFF", save_all=True, append_images=[image])):
        assert np.array_equal(mask, single)


def test_decode_pages_of_16_bits_are_like_single_images() -> None:
    color = np.stack([np.rint(RAMP * 4095).astype(np.uint16)] * 3, axis=2)
    expected = decode_gray(cv2.imencode(".tiff", color)[1].tobytes())
    assert expected.max() == 255
    pages = decode_pages(cv2.imencodemulti(".tiff", [np.roll(color, step, 0) for step in range(130)])[1].tobytes())
    assert len(pages) == 130, "more than OpenCV decodes at a time"
    assert all(np.array_equal(page, np.roll(expected, step, 0)) for step, page in enumerate(pages))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_decode_pages_white_is_zero_is_inverted_on_each_page(dtype: Any) -> None:
    image = Image.fromarray((PIXELS.astype(dtype) * np.iinfo(dtype).max) // 255)
    options = {"tiffinfo": {262: 0}}
    single = decode_gray(encode(image, "TIFF", **options))
    for page in decode_pages(encode(image, "TIFF", save_all=True, append_images=[image], **options)):
        assert np.array_equal(page, single)


@pytest.mark.parametrize("bright", [np.s_[0, 0], np.s_[:4, :10]])
def test_decode_gray_hot_pixels_and_text_do_not_make_12_bits_dark(bright: Any) -> None:
    values = np.rint(RAMP * 4000).astype(np.uint16)
    plain = decode_gray(encode(Image.fromarray(values)))
    values[bright] = 65_535
    gray = decode_gray(encode(Image.fromarray(values)))
    assert (gray[bright] == 255).all()
    rest = np.ones(values.shape, bool)
    rest[bright] = False
    np.testing.assert_allclose(gray[rest].astype(int), plain[rest], atol=4)


def test_decode_gray_black_and_white_of_16_bits_stays_so() -> None:
    values = np.where(PIXELS > 200, 65_535, 0).astype(np.uint16)
    assert np.array_equal(decode_gray(encode(Image.fromarray(values))), values >> 8)


@pytest.mark.parametrize("values", [np.rint(RAMP * 4e9).astype(np.uint32), np.rint(RAMP * 200 - 100).astype(np.int8)])
def test_decode_gray_integers_of_tiff_keep_their_sign(values: NDArray[Any]) -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, photometric="minisblack")
    assert np.abs(decode_gray(buffer.getvalue()).astype(int) - RULE).max() <= 2


def test_decode_gray_damaged_image_is_told_from_other_content() -> None:
    with pytest.raises(
        UnreadableImageError, match=r"^an image file that is damaged or of a kind that is not supported$"
    ):
        decode_gray(b"II*\0 and nothing else")
    with pytest.raises(UnreadableImageError, match=r"^not an image file$"):
        decode_gray(b"text")
