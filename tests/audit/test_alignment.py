"""Correlation of aligned thumbnails."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from brain_tumor.audit.alignment import (
    OUTLIER_FRACTION,
    aligned_correlation,
    outlier_mask,
    pearson_correlation,
    quantile,
)
from brain_tumor.audit.thumbnails import make_thumbnails
from brain_tumor.core.types import Floats
from heads import head


def test_aligned_correlation_same_image_is_one() -> None:
    thumbnail = make_thumbnails(head(1)).head
    assert aligned_correlation(thumbnail, thumbnail) == 1


def test_aligned_correlation_flat_image_is_minus_one() -> None:
    assert aligned_correlation(make_thumbnails(head(1)).head, np.full((64, 64), 7, np.uint8)) == -1


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), min_size=2, max_size=50))
def test_pearson_correlation_any_values_equals_numpy(pairs: list[tuple[int, int]]) -> None:
    one, other = np.array(pairs, np.uint8).T
    if min(one.std(), other.std()) == 0:
        assert pearson_correlation(one, other) == 0
    else:
        assert pearson_correlation(one, other) == pytest.approx(np.corrcoef(one, other)[0, 1], abs=1e-9)


def test_outlier_mask_burned_in_pixels_are_marked() -> None:
    one = np.arange(200, dtype=np.uint8)
    other = one.copy()
    other[50:60] = 255
    mask = outlier_mask(one, other)
    assert mask[50:60].all()
    assert mask.sum() == OUTLIER_FRACTION * 200


@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 255)), st.floats(0, 1))
def test_quantile_is_that_of_numpy(values: Floats, fraction: float) -> None:
    assert quantile(values, fraction) == np.quantile(values, fraction)
