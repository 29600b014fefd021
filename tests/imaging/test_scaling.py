"""Scaling of values, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain_tumor.core.types import Floats
from brain_tumor.imaging.scaling import (
    clip_percentiles,
    find_padding,
    lower_outliers,
    make_pixels_square,
    scale_by_percentiles,
    scale_to_unit,
)


def test_clip_percentiles_limits_are_of_all_values() -> None:
    values = np.arange(1001.0).reshape(7, 143)  # the p-th percentile is 10 p
    clipped = clip_percentiles(values)
    assert (clipped.min(), clipped.max()) == (pytest.approx(5), pytest.approx(998))
    inside = (values >= 5) & (values <= 998)
    assert np.array_equal(clipped[inside], values[inside])


def test_scale_to_unit_is_linear() -> None:
    assert scale_to_unit(np.array([[-2.0, 0.0], [1.0, 2.0]])).tolist() == [[0.0, 0.5], [0.75, 1.0]]


def test_scale_to_unit_equal_values_become_zero() -> None:
    assert scale_to_unit(np.full(3, 7.0)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scale_to_unit_value_not_finite_is_an_error(value: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        scale_to_unit(np.array([0.0, value, 1.0]))


def test_scale_by_percentiles_without_background_is_the_plain_rule() -> None:
    values = np.arange(-500.0, 501.0)
    assert np.array_equal(scale_by_percentiles(values), scale_to_unit(clip_percentiles(values)))


def test_scale_by_percentiles_padding_takes_no_part() -> None:
    inside = np.random.default_rng(0).normal(500, 100, 1000)
    values = np.r_[np.full(300, -2000.0), inside]
    expected = np.r_[np.zeros(300), scale_by_percentiles(inside)]
    np.testing.assert_allclose(scale_by_percentiles(values, np.arange(1300) < 300), expected, atol=1e-12)
    np.testing.assert_allclose(scale_by_percentiles(values), expected, atol=1e-12)  # found by its distance


def test_scale_by_percentiles_smallest_value_near_the_others_is_no_padding() -> None:
    values = np.r_[np.full(300, -20.0), np.linspace(0, 1000, 1000)]
    assert np.array_equal(scale_by_percentiles(values), scale_to_unit(clip_percentiles(values)))


def test_scale_by_percentiles_frequent_value_amid_the_others_is_background() -> None:
    inside = np.random.default_rng(0).normal(0, 1, 1000)
    levels = scale_by_percentiles(np.r_[np.zeros(700), inside])
    assert levels[:700].max() == 0
    assert levels[700:].max() == 1
    few = scale_by_percentiles(np.r_[np.zeros(100), inside])
    assert few[:100].min() > 0.3, "a value that few have is signal"


def test_scale_by_percentiles_without_a_finite_value_is_an_error() -> None:
    with pytest.raises(ValueError, match="all values are padding or not finite"):
        scale_by_percentiles(np.full(4, np.nan))


@pytest.mark.parametrize(
    ("rows", "columns", "shape"), [(1, 1, (10, 20)), (1.005, 1, (10, 20)), (2, 1, (20, 20)), (0.5, 1, (10, 40))]
)
def test_make_pixels_square_longer_axis_is_enlarged(rows: float, columns: float, shape: tuple[int, int]) -> None:
    image = np.arange(200, dtype=np.uint8).reshape(10, 20)
    square = make_pixels_square(image, rows, columns)
    assert square.shape == shape
    assert abs(float(square.mean()) - float(image.mean())) < 1


@pytest.mark.parametrize(("rows", "columns"), [(0, 1), (-1, 1), (1, np.nan), (100, 1)])
def test_make_pixels_square_impossible_spacing_is_an_error(rows: float, columns: float) -> None:
    with pytest.raises(ValueError, match="pixel spacings"):
        make_pixels_square(np.zeros((4, 4), np.uint8), rows, columns)


@pytest.mark.parametrize("fraction", [0.0001, 0.004, 0.008, 0.3])
@pytest.mark.parametrize("levels", [(-32768.0,), (-32768.0, -32767.0), (-32768.0, -32767.0, -30000.0)])
def test_find_padding_any_share_and_up_to_three_levels_are_found(fraction: float, levels: tuple[float, ...]) -> None:
    inside = np.linspace(-200, 1500, 10_000)
    outside = np.resize(levels, max(len(levels), round(fraction * len(inside))))
    values = np.r_[outside, inside]
    assert np.array_equal(find_padding(values), values < -1000)
    levels_inside = scale_by_percentiles(values)[len(outside) :]
    np.testing.assert_allclose(levels_inside, scale_by_percentiles(inside), atol=1e-9)


def test_find_padding_values_without_a_gap_or_not_negative_are_none() -> None:
    assert not find_padding(np.linspace(-1000, 1000, 50)).any()
    assert not find_padding(np.r_[0.0, np.linspace(1000, 1100, 50)]).any()
    assert not find_padding(np.array([np.nan, np.inf])).any()


def test_lower_outliers_few_values_far_above_are_lowered() -> None:
    values = np.r_[np.arange(1000.0), 60_000, 65_535]
    assert lower_outliers(values).tolist() == [*range(1000), 999, 999]


@pytest.mark.parametrize(
    "values",
    [
        np.r_[np.arange(100.0), np.full(20, 5000.0)],  # a sixth of the values: bright tissue, not text
        np.r_[np.arange(100.0), 150.0],  # not far above
        np.r_[np.zeros(90), 1.0, 1000.0],  # too few different values: a drawing
        np.arange(10.0),
        np.empty(0),
    ],
)
def test_lower_outliers_other_values_stay(values: Floats) -> None:
    assert np.array_equal(lower_outliers(values), values)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_scale_by_percentiles_any_values_keep_their_order(numbers: list[float]) -> None:
    values = np.sort(np.array(numbers))
    if not find_padding(values).any() and np.unique(values, return_counts=True)[1].max() < 0.2 * len(values):
        assert (np.diff(scale_by_percentiles(values)) >= 0).all()


@pytest.mark.parametrize("negative", [(), (-1.0,), (-1.0, -5.0)])
def test_find_padding_zero_background_of_a_head_with_few_negative_values_is_none(negative: tuple[float, ...]) -> None:
    values = np.r_[np.zeros(500), np.linspace(28, 255, 228), negative]
    assert not (find_padding(values) & (values >= 0)).any()
    assert scale_by_percentiles(values)[510] == pytest.approx(scale_by_percentiles(values[:728])[510], abs=0.03)


def test_find_padding_few_different_values_have_none() -> None:
    assert not find_padding(np.array([-2.0, -1.0, 0.0, 1.0, 2.0])).any()
