"""Preprocessing operations on synthetic images."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from brain_tumor.preprocessing.operations import CropHead, PreprocessParams, Resize, find_head_box, preprocess, resize

METHODS = ["otsu", "extreme-points"]


def make_head(
    height: int = 120, width: int = 160, left: int = 30, top: int = 20, right: int = 130, bottom: int = 110
) -> Any:
    y, x = np.mgrid[:height, :width]
    cy, cx, ry, rx = (top + bottom) / 2, (left + right) / 2, (bottom - top) / 2, (right - left) / 2
    inside = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
    return np.where(inside, 150, 5).astype(np.uint8)


def operations(*ops: dict[str, Any]) -> PreprocessParams:
    return PreprocessParams.model_validate({"operations": ops})


@pytest.mark.parametrize("method", METHODS)
def test_find_head_box_head_is_found(method: Any) -> None:
    box = find_head_box(make_head(), CropHead(op="crop-head", method=method, padding=0))
    np.testing.assert_allclose(box, (30, 20, 130, 110), atol=4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("image", [np.zeros((60, 50), np.uint8), np.full((60, 50), 200, np.uint8)])
def test_find_head_box_without_a_head_is_the_whole_image(method: Any, image: Any) -> None:
    left, top, right, bottom = find_head_box(image, CropHead(op="crop-head", method=method))
    assert right - left >= 48
    assert bottom - top >= 58


def test_find_head_box_otsu_includes_all_large_components() -> None:
    two = np.maximum(make_head(right=70), make_head(left=90))
    op = CropHead(op="crop-head", padding=0)
    np.testing.assert_allclose(find_head_box(two, op), (30, 20, 130, 110), atol=5)
    small = make_head(300, 300, 140, 140, 180, 180)
    assert find_head_box(small, op) == (0, 0, 300, 300)


def test_find_head_box_extreme_points_uses_largest_component() -> None:
    two = np.maximum(make_head(right=70), make_head(left=90, top=50, bottom=80))
    box = find_head_box(two, CropHead(op="crop-head", method="extreme-points"))
    np.testing.assert_allclose(box, (30, 20, 70, 110), atol=4)


def test_preprocess_skipped_crop_is_reported() -> None:
    steps = operations({"op": "crop-head"}, {"op": "resize", "size": 32, "mode": "pad"}).operations
    assert not preprocess(make_head(), steps).crop_skipped
    assert preprocess(np.zeros((60, 50), np.uint8), steps).crop_skipped


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    darkness=st.sampled_from([0.2, 1.0, 8.0]),
    seed=st.integers(0, 999),
    method=st.sampled_from(METHODS),
    mode=st.sampled_from(["pad", "stretch"]),
)
def test_preprocess_any_image_has_the_size_and_type(
    shape: tuple[int, int], darkness: float, seed: int, method: Any, mode: str
) -> None:
    noise = (np.random.default_rng(seed).random(shape) ** darkness * 255).astype(np.uint8)
    left, top, right, bottom = find_head_box(noise, CropHead(op="crop-head", method=method, min_area_fraction=0.0))
    assert 0 <= left < right <= shape[1]
    assert 0 <= top < bottom <= shape[0]
    ops: list[dict[str, Any]] = [
        {"op": "crop-head", "method": method, "min_area_fraction": 0.0},
        {"op": "denoise"},
        {"op": "clahe"},
        {"op": "resize", "size": 32, "mode": mode},
    ]
    result = preprocess(noise, operations(*ops).operations, noise)
    assert result.mask is not None
    assert result.image.shape == result.mask.shape == (32, 32)
    assert result.image.dtype == result.mask.dtype == np.uint8


def test_resize_pad_keeps_the_aspect_ratio_and_stretch_does_not() -> None:
    wide = np.full((30, 60), 200, np.uint8)
    padded = resize(wide, Resize(op="resize", size=40, mode="pad"))
    assert (padded[:10] == 0).all()
    assert (padded[10:30] == 200).all()
    assert (padded[30:] == 0).all()
    assert (resize(wide, Resize(op="resize", size=40, mode="stretch")) == 200).all()


@given(st.integers(50, 110), st.integers(40, 90), st.sampled_from(["pad", "stretch"]))
def test_preprocess_mask_follows_its_image(column: int, row: int, mode: str) -> None:
    image = make_head() // 2
    mask = np.zeros_like(image)
    mask[row - 6 : row + 6, column - 6 : column + 6] = 255
    image[mask > 0] = 255
    steps = operations({"op": "crop-head"}, {"op": "resize", "size": 64, "mode": mode}).operations
    result = preprocess(image, steps, mask)
    assert result.mask is not None
    assert set(np.unique(result.mask)) == {0, 255}
    bright = result.image > 170
    assert (bright & (result.mask > 0)).sum() / (bright | (result.mask > 0)).sum() > 0.7


def test_preprocess_contrast_and_noise_are_deterministic() -> None:
    random = np.random.default_rng(0)
    image = (make_head() // 2 + random.integers(0, 40, (120, 160))).astype(np.uint8)
    steps = operations(
        {"op": "denoise", "method": "bilateral", "size": 5},
        {"op": "denoise", "method": "median", "size": 3},
        {"op": "clahe", "clip": 4.0, "tiles": 4},
        {"op": "resize", "size": 48, "mode": "stretch"},
    ).operations
    first, second = preprocess(image, steps), preprocess(image.copy(), steps)
    assert first.image.dtype == np.uint8
    assert first.image.shape == (48, 48)
    assert (first.image == second.image).all()
    plain = preprocess(image, steps[-1:])
    assert first.image.std() > plain.image.std(), "CLAHE spreads the values"


@pytest.mark.parametrize(
    ("ops", "message"),
    [
        ([], "must end with their only resize"),
        ([{"op": "clahe"}], "must end with their only resize"),
        ([{"op": "resize", "size": 32, "mode": "pad"}, {"op": "clahe"}], "must end with their only resize"),
        ([{"op": "resize", "size": 32, "mode": "pad"}] * 2, "must end with their only resize"),
        ([{"op": "sharpen"}, {"op": "resize", "size": 32, "mode": "pad"}], "sharpen"),
    ],
)
def test_preprocess_params_without_one_final_resize_are_rejected(ops: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        operations(*ops)
