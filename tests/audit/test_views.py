"""Comparison of pairs over their views: which views are compared."""

from typing import Any

import cv2
import numpy as np
import pytest

from brain_tumor.audit import comparison
from brain_tumor.audit.alignment import aligned_correlation
from brain_tumor.audit.comparison import Pair, View, best_correlation
from brain_tumor.audit.opencv import opencv_in_one_thread
from brain_tumor.audit.thumbnails import make_thumbnails
from brain_tumor.audit.transforms import TRANSFORMS, apply_transform
from heads import head

THUMBNAILS = [np.zeros((2, 64, 64), np.uint8)] * 2


def test_best_correlation_leaves_opencv_as_it_was() -> None:
    """OpenCV's vector code gives other pixels in later operations of the same process."""
    thumbnails = np.stack([make_thumbnails(head(1)).head])
    settings = cv2.useOptimized(), cv2.getNumThreads()
    with opencv_in_one_thread(vector_code=False):
        assert (cv2.useOptimized(), cv2.getNumThreads()) == (False, 1)
    with opencv_in_one_thread():
        assert (cv2.useOptimized(), cv2.getNumThreads()) == (settings[0], 1)
    assert best_correlation([thumbnails], Pair(0, 0, [View(1, 0, 0)])) == (1, 0)
    assert (cv2.useOptimized(), cv2.getNumThreads()) == settings


@pytest.mark.parametrize("transform", range(len(TRANSFORMS)))
def test_best_correlation_transform_turns_the_second_image_into_the_first(transform: int) -> None:
    second = make_thumbnails(head(3)).frame
    thumbnails = np.stack([apply_transform(second, transform), second])
    views = [View(0.95, 0, number) for number in range(len(TRANSFORMS))]
    with opencv_in_one_thread(vector_code=False):
        first = aligned_correlation(thumbnails[0], apply_transform(second, 0))
    value, found = best_correlation([thumbnails], Pair(0, 1, [View(0.99, 0, transform), *views]))
    assert (value, found) == (1, transform)
    assert (first == 1) == (transform == 0)


@pytest.mark.parametrize(
    ("views", "correlations", "compared", "expected"),
    [
        # Hopeless after the most promising view; one that did not converge says nothing.
        ([(0.95, 0, 1), (0.94, 1, 1)], [0.89, 0.99], 1, (0.89, 1)),
        ([(0.95, 0, 1), (0.94, 1, 1)], [-1.0, 0.95], 2, (0.95, 1)),
        ([(0.95, 0, 1), (0.94, 1, 2)], [0.90, 0.95], 2, (0.95, 2)),
        # A duplicate: the same transform cannot change the result, an unlikely one does not.
        ([(0.99, 0, 1), (0.99, 1, 1)], [0.97, 0.99], 1, (0.97, 1)),
        ([(0.99, 0, 1), (0.98, 1, 2)], [0.97, 0.99], 2, (0.99, 2)),
        ([(0.99, 0, 1), (0.96, 1, 2)], [0.97, 0.99], 1, (0.97, 1)),
        ([(0.99, 0, 1), (0.96, 1, 2)], [0.96, 0.99], 2, (0.99, 2)),
        ([(0.99, 0, 5), (0.99, 1, 2)], [0.98, 0.98], 2, (0.98, 2)),
        ([], [], 0, (-1.0, 0)),
    ],
)
def test_best_correlation_views_that_cannot_change_the_result_are_left_out(
    views: Any, correlations: list[float], compared: int, expected: tuple[float, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    remaining = iter(correlations)
    monkeypatch.setattr(comparison, "aligned_correlation", lambda *_: next(remaining))
    assert best_correlation(THUMBNAILS, Pair(0, 1, [View(*view) for view in views])) == expected
    assert list(remaining) == correlations[compared:]
