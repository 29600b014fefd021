"""Enhancement operations on images whose answer is known."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from brain_tumor.enhance import CropHead, EnhanceParams, Resize, enhance, head_box, resize
from enhance import filled

METHODS = ["otsu", "extreme-points"]


def head(
    height: int = 120, width: int = 160, left: int = 30, top: int = 20, right: int = 130, bottom: int = 110
) -> Any:
    y, x = np.mgrid[:height, :width]
    cy, cx, ry, rx = (top + bottom) / 2, (left + right) / 2, (bottom - top) / 2, (right - left) / 2
    inside = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
    return np.where(inside, 150, 5).astype(np.uint8)


def operations(*ops: dict[str, Any]) -> EnhanceParams:
    return EnhanceParams.model_validate({"operations": ops})


@pytest.mark.parametrize("method", METHODS)
def test_the_crop_finds_the_head(method: Any) -> None:
    found = head_box(head(), CropHead(op="crop-head", method=method, padding=0))
    np.testing.assert_allclose(found, (30, 20, 130, 110), atol=4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("image", [np.zeros((60, 50), np.uint8), np.full((60, 50), 200, np.uint8)])
def test_without_a_head_the_whole_image_stays(method: Any, image: Any) -> None:
    left, top, right, bottom = head_box(image, CropHead(op="crop-head", method=method))
    assert right - left >= 48
    assert bottom - top >= 58


def test_all_sizeable_parts_are_kept_and_a_tiny_rest_is_not_trusted() -> None:
    two = np.maximum(head(right=70), head(left=90))
    op = CropHead(op="crop-head", padding=0)
    np.testing.assert_allclose(head_box(two, op), (30, 20, 130, 110), atol=5)
    small = head(300, 300, 140, 140, 180, 180)
    assert head_box(small, op) == (0, 0, 300, 300)


def test_extreme_points_take_the_largest_part_alone() -> None:
    two = np.maximum(head(right=70), head(left=90, top=50, bottom=80))
    found = head_box(two, CropHead(op="crop-head", method="extreme-points"))
    np.testing.assert_allclose(found, (30, 20, 70, 110), atol=4)


def test_a_crop_that_fell_back_is_reported() -> None:
    steps = operations({"op": "crop-head"}, {"op": "resize", "size": 32, "mode": "pad"}).operations
    assert not enhance(head(), steps).whole
    assert enhance(np.zeros((60, 50), np.uint8), steps).whole


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    darkness=st.sampled_from([0.2, 1.0, 8.0]),
    seed=st.integers(0, 999),
    method=st.sampled_from(METHODS),
    mode=st.sampled_from(["pad", "squash"]),
)
def test_any_image_however_small_or_noisy_comes_out(
    shape: tuple[int, int], darkness: float, seed: int, method: Any, mode: str
) -> None:
    noise = (np.random.default_rng(seed).random(shape) ** darkness * 255).astype(np.uint8)
    left, top, right, bottom = head_box(noise, CropHead(op="crop-head", method=method, least=0.0))
    assert 0 <= left < right <= shape[1]
    assert 0 <= top < bottom <= shape[0]
    ops: list[dict[str, Any]] = [
        {"op": "crop-head", "method": method, "least": 0.0},
        {"op": "denoise"},
        {"op": "clahe"},
        {"op": "resize", "size": 32, "mode": mode},
    ]
    found = enhance(noise, operations(*ops).operations, noise)
    assert found.mask is not None
    assert found.image.shape == found.mask.shape == (32, 32)
    assert found.image.dtype == found.mask.dtype == np.uint8


def test_pad_keeps_the_aspect_ratio_and_squash_does_not() -> None:
    wide = np.full((30, 60), 200, np.uint8)
    padded = resize(wide, Resize(op="resize", size=40, mode="pad"))
    assert (padded[:10] == 0).all()
    assert (padded[10:30] == 200).all()
    assert (padded[30:] == 0).all()
    assert (resize(wide, Resize(op="resize", size=40, mode="squash")) == 200).all()


@given(st.integers(50, 110), st.integers(40, 90), st.sampled_from(["pad", "squash"]))
def test_a_mask_goes_where_its_image_goes(column: int, row: int, mode: str) -> None:
    image = head() // 2
    mask = np.zeros_like(image)
    mask[row - 6 : row + 6, column - 6 : column + 6] = 255
    image[mask > 0] = 255
    steps = operations({"op": "crop-head"}, {"op": "resize", "size": 64, "mode": mode}).operations
    found = enhance(image, steps, mask)
    assert found.mask is not None
    assert set(np.unique(found.mask)) == {0, 255}
    bright = found.image > 170
    assert (bright & (found.mask > 0)).sum() / (bright | (found.mask > 0)).sum() > 0.7


def test_contrast_and_noise_operations_keep_shape_and_type() -> None:
    random = np.random.default_rng(0)
    image = (head() // 2 + random.integers(0, 40, (120, 160))).astype(np.uint8)
    steps = operations(
        {"op": "denoise", "method": "bilateral", "size": 5},
        {"op": "denoise", "method": "median", "size": 3},
        {"op": "clahe", "clip": 4.0, "tiles": 4},
        {"op": "resize", "size": 48, "mode": "squash"},
    ).operations
    first, second = enhance(image, steps), enhance(image.copy(), steps)
    assert first.image.dtype == np.uint8
    assert first.image.shape == (48, 48)
    assert (first.image == second.image).all()
    plain = enhance(image, steps[-1:])
    assert first.image.std() > plain.image.std(), "CLAHE spreads the values"


@pytest.mark.parametrize(
    ("ops", "says"),
    [
        ([], "must end with their only resize"),
        ([{"op": "clahe"}], "must end with their only resize"),
        ([{"op": "resize", "size": 32, "mode": "pad"}, {"op": "clahe"}], "must end with their only resize"),
        ([{"op": "resize", "size": 32, "mode": "pad"}] * 2, "must end with their only resize"),
        ([{"op": "sharpen"}, {"op": "resize", "size": 32, "mode": "pad"}], "sharpen"),
    ],
)
def test_one_resize_ends_the_list(ops: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        operations(*ops)


def test_boxes_stand_for_the_mask_that_an_image_does_not_have() -> None:
    mask = filled("3 1 4 2;8 5 2 9", (10, 12))
    assert mask is not None
    expected = np.zeros((10, 12), np.uint8)
    expected[1:3, 3:7] = 255
    expected[5:10, 8:10] = 255  # what goes beyond the image is cut off
    np.testing.assert_array_equal(mask, expected)
    assert filled("", (10, 12)) is None
