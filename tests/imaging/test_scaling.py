"""Scaling of values, by hand."""

import numpy as np
import pytest

from brain_tumor.imaging.scaling import clip_percentiles, scale_to_unit


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
