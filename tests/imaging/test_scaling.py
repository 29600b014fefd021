"""Scaling of values, by hand."""

import numpy as np
import pytest

from brain_tumor.imaging.scaling import clip_percentiles, make_pixels_square, scale_by_percentiles, scale_to_unit


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
