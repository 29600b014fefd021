"""Taking gray slices from volumes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from brain_tumor.imaging.volumes import (
    AXES,
    Volume,
    choose_positions,
    find_foreground,
    parse_plane,
    take_slices,
    to_display_orientation,
)
from clinical_files import make_body

PLANES = st.sampled_from(sorted(AXES))
BODY = Volume(make_body().astype(float))


@pytest.mark.parametrize(("plane", "shape"), [("axial", (24, 20)), ("coronal", (28, 20)), ("sagittal", (28, 24))])
def test_take_slices_are_upright(plane: Any, shape: tuple[int, int]) -> None:
    slices = take_slices(BODY, plane, 3)
    assert len(slices) == 3
    gray = slices[1].gray.astype(int)
    assert gray.shape == shape
    assert slices[1].gray.dtype == np.uint8
    center = gray[shape[0] // 2, shape[1] // 2]
    assert gray[shape[0] // 2 - 5, shape[1] // 2] > center, "anterior or superior is up"
    assert gray[shape[0] // 2, shape[1] // 2 - 4] > center, "the patient's right, or the face, is at the left"


def test_take_slices_are_scaled_by_the_percentiles_of_the_volume() -> None:
    values = np.arange(8000.0).reshape(20, 20, 20)
    slices = {item.position: item.gray for item in take_slices(Volume(values), "sagittal", 20)}
    low, high = np.percentile(values, (0.5, 99.8))
    expected = np.rint(255 * (np.clip(values, low, high) - low) / (high - low))
    for position, gray in slices.items():
        assert np.array_equal(gray, to_display_orientation(expected, 0, position))


def test_take_slices_with_a_mask_are_taken_where_it_is_large() -> None:
    mask = np.zeros(make_body().shape, bool)
    mask[8:12, 8:14, 9:13] = True
    mask[9, 9, 14] = True
    slices = take_slices(BODY, "axial", 9, mask)
    assert [item.position for item in slices] == [9, 10, 11, 12]
    for item in slices:
        assert item.mask is not None
        assert item.mask.sum() == 24


def test_take_slices_empty_mask_is_kept_and_the_head_counts() -> None:
    empty = take_slices(BODY, "axial", 5, np.zeros(make_body().shape, bool))
    assert [item.position for item in empty] == [item.position for item in take_slices(BODY, "axial", 5)]
    assert all(item.mask is not None and not item.mask.any() for item in empty)


@pytest.mark.parametrize(
    ("values", "message"),
    [(np.full((4, 4, 4), np.nan), "not finite"), (np.zeros((1, 8000, 8001)), "slices of 64,008,000 pixels")],
)
def test_take_slices_unusable_volume_is_an_error(values: NDArray[np.float64], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        take_slices(Volume(values), "sagittal", 5)


@given(seed=st.integers(0, 999), plane=PLANES, count=st.integers(1, 12), density=st.floats(0, 1))
def test_choose_positions_distinct_with_half_maximum_area(seed: int, plane: Any, count: int, density: float) -> None:
    foreground = np.random.default_rng(seed).random((5, 7, 9)) < density
    positions = choose_positions(foreground, plane, count)
    assert 1 <= len(positions) <= count
    assert (np.diff(positions) > 0).all()
    area = np.moveaxis(foreground, AXES[plane], 0).sum((1, 2))
    assert (2 * area[positions] >= area.max()).all()


@given(shape=st.tuples(*[st.integers(1, 5)] * 3), plane=PLANES, data=st.data())
def test_to_display_orientation_last_corner_is_top_left(
    shape: tuple[int, int, int], plane: Any, data: st.DataObject
) -> None:
    volume, axis = np.arange(np.prod(shape)).reshape(shape), AXES[plane]
    position = data.draw(st.integers(0, shape[axis] - 1))
    result, section = to_display_orientation(volume, axis, position), np.take(volume, position, axis)
    assert result.shape == section.shape[::-1]
    assert set(result.ravel()) == set(section.ravel())
    assert result[0, 0] == section[-1, -1]
    assert result[-1, 0] == section[-1, 0]


@pytest.mark.parametrize("plane", AXES)
def test_parse_plane_name_is_returned(plane: str) -> None:
    assert parse_plane(plane) == plane


@pytest.mark.parametrize("name", ["", "Axial", "oblique"])
def test_parse_plane_other_name_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match=f"plane '{name}' is not one of sagittal, coronal, axial"):
        parse_plane(name)


@pytest.mark.parametrize("background", [np.nan, -np.inf])
def test_take_slices_values_that_are_not_finite_are_background(background: float) -> None:
    values = np.where(make_body() > 0, make_body(), background).astype(float)
    zero = take_slices(Volume(np.where(make_body() > 0, make_body(), make_body()[make_body() > 0].min())), "axial", 5)
    for item, expected in zip(take_slices(Volume(values), "axial", 5), zero, strict=True):
        assert item.position == expected.position
        assert np.array_equal(item.gray, expected.gray)


def test_take_slices_z_scored_head_on_0_is_found_by_its_content() -> None:
    body = make_body().astype(float)
    inside = body > 0
    scored = np.where(inside, (body - body[inside].mean()) / body[inside].std(), 0.0)
    positions = [item.position for item in take_slices(Volume(scored), "axial", 5)]
    assert (positions[0], positions[-1]) == (5, 22), "the first and the last slice of the head"
    for item in take_slices(Volume(scored), "axial", 5):
        edge = np.r_[item.gray[0], item.gray[-1], item.gray[:, 0], item.gray[:, -1]]
        assert edge.max() == 0, "the background is black, although half of the head is below it"


@pytest.mark.parametrize("change", ["unit", "shifted", "bright background", "noisy"])
def test_take_slices_head_around_a_background_that_is_not_0_is_found(change: str) -> None:
    body = make_body().astype(float)
    inside = body > 0
    scored = np.where(inside, (body - body[inside].mean()) / body[inside].std(), 0.0)
    values = {
        "unit": (scored - scored.min()) / np.ptp(scored),
        "shifted": scored + 3,
        "bright background": np.where(inside, body, 3 * body.max()),
        "noisy": scored + np.random.default_rng(0).normal(0, 0.01, body.shape),
    }[change]
    slices = take_slices(Volume(values), "axial", 5)
    assert (slices[0].position, slices[-1].position) == (5, 22), "the first and the last slice of the head"
    for item in slices:
        edge = np.r_[item.gray[0], item.gray[-1], item.gray[:, 0], item.gray[:, -1]]
        assert change == "noisy" or edge.max() == 0, "the background is black"


def test_take_slices_frequent_value_of_tissue_is_not_background() -> None:
    values = np.zeros((20, 22, 24))
    values[2:18, 2:20, 2:22] = 255.0  # saturated tissue in most voxels
    values[6:12, 6:12, 6:12] = 120.0
    slices = take_slices(Volume(values), "axial", 5)
    assert (slices[0].position, slices[-1].position) == (2, 21)
    assert slices[0].gray.max() == 255
    assert slices[0].gray[0].max() == 0


def test_find_foreground_without_negative_values_is_what_is_brighter_than_the_mean() -> None:
    values = np.random.default_rng(0).gamma(1.0, 50.0, (9, 10, 11))
    assert np.array_equal(find_foreground(values), values > values.mean())


@pytest.mark.parametrize(("plane", "shape"), [("axial", (48, 20)), ("coronal", (84, 20)), ("sagittal", (42, 24))])
def test_take_slices_voxels_that_are_not_square_are_enlarged(plane: Any, shape: tuple[int, int]) -> None:
    mask = np.zeros(make_body().shape, bool)
    mask[8:12, 8:14, 9:13] = True
    for item in take_slices(Volume(make_body().astype(float), (1.0, 2.0, 3.0)), plane, 2, mask):
        assert item.mask is not None
        assert item.gray.shape == item.mask.shape == shape
        rows, columns = np.flatnonzero(item.mask.any(1)), np.flatnonzero(item.mask.any(0))
        assert abs(len(rows) / shape[0] - item.mask.any(1).mean()) < 1e-9
        assert len(columns) >= 4
