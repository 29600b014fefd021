"""Screenshots and inverted images are restored before they are compared; all other images stay as they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from brain_tumor.audit.display import undo_display
from brain_tumor.audit.thumbnails import make_thumbnails
from brain_tumor.core.types import Gray
from heads import head

INVERTED, WINDOW = (
    "bright background: the gray levels may be inverted",
    "the image is inside a frame, as in a screenshot",
)


def on_background(level: int, noise: int = 0, seed: int = 1) -> Gray:
    """A head on a background of a gray level above 0, as of images with much noise or of a wide window."""
    random = np.random.default_rng(seed)
    original = head(seed, 256).astype(int)
    image = np.maximum(original, level) + random.integers(-noise, noise + 1, original.shape)
    return np.asarray(image.clip(0, 255), np.uint8)


def in_window(image: Gray, level: int, left: int = 40, top: int = 30, right: int = 0, bottom: int = 30) -> Gray:
    """The image in the window of a viewer, with a title and buttons."""
    height, width = image.shape
    screen = Image.new("L", (width + left + right, height + top + bottom), level)
    screen.paste(Image.fromarray(image), (left, top))
    draw = ImageDraw.Draw(screen)
    if top:
        draw.text((5, 5), "Series 3  Image 17", fill=230, font_size=16)
    for row in range(top + 5, height if left else 0, 40):
        draw.rectangle((5, row, left - 8, row + 20), outline=180)
    return np.asarray(screen)


@given(st.integers(0, 50))
def test_undo_display_inverted_head_is_restored(seed: int) -> None:
    restored, warning = undo_display(np.bitwise_not(head(seed, 256)))
    np.testing.assert_array_equal(restored, head(seed, 256))
    assert warning == INVERTED


@pytest.mark.parametrize("sides", [(40, 30, 0, 30), (0, 60, 0, 0), (60, 0, 60, 0), (20, 30, 40, 50)])
@pytest.mark.parametrize("level", [30, 60, 120, 200, 255])
def test_undo_display_screenshot_is_cut_to_the_image(level: int, sides: tuple[int, int, int, int]) -> None:
    image, warning = undo_display(in_window(head(3, 256), level, *sides))
    np.testing.assert_array_equal(image, head(3, 256))
    assert warning == WINDOW


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(head(1, 256), id="head"),
        pytest.param(on_background(12), id="gray background"),
        pytest.param(on_background(40), id="bright background"),
        pytest.param(on_background(40, noise=15), id="bright noisy background"),
        pytest.param(np.pad(head(1, 256), 6, constant_values=255), id="white border"),
        pytest.param(np.pad(head(1, 256)[40:-40, 50:-50], 3, constant_values=128), id="border around a close crop"),
        pytest.param(head(1, 256)[80:180, 80:180], id="crop inside the head"),
        pytest.param(np.random.default_rng(0).integers(0, 256, (200, 200)).astype(np.uint8), id="noise"),
        pytest.param(np.full((64, 64), 200, np.uint8), id="blank"),
        pytest.param(np.tile(np.arange(256, dtype=np.uint8), (256, 1)), id="gradient"),
        pytest.param(np.full((1, 1), 200, np.uint8), id="one pixel"),
        pytest.param(np.full((3, 900), 200, np.uint8), id="line"),
    ],
)
def test_undo_display_any_other_image_is_not_changed(image: Gray) -> None:
    shown, warning = undo_display(image)
    assert shown is image
    assert warning == ""


@given(st.integers(0, 99), st.integers(1, 90), st.integers(1, 90), st.integers(24, 255))
def test_undo_display_never_empties_an_image(seed: int, height: int, width: int, level: int) -> None:
    image = np.full((height, width), level, np.uint8)
    random = np.random.default_rng(seed)
    top, left = random.integers(0, height), random.integers(0, width)
    image[top:, left:] = random.integers(0, 256)
    assert undo_display(image)[0].size >= min(image.size, image.size // 4)


def test_make_thumbnails_inverted_and_in_a_window_like_the_original() -> None:
    original = make_thumbnails(head(5, 256))
    for changed in (np.bitwise_not(head(5, 256)), in_window(head(5, 256), 70)):
        np.testing.assert_array_equal(make_thumbnails(changed).frame, original.frame)
        np.testing.assert_array_equal(make_thumbnails(changed).head, original.head)
    assert make_thumbnails(in_window(head(5, 256), 70)).quality_warning == WINDOW
