"""Comparison of two images by the pixels of their aligned thumbnails, over the views under which they may agree."""

from collections.abc import Sequence
from typing import NamedTuple

from brain_tumor.audit.alignment import aligned_correlation
from brain_tumor.audit.opencv import opencv_in_one_thread
from brain_tumor.audit.transforms import apply_transform
from brain_tumor.core.types import Gray

# Correlations of aligned pixels inside the heads: dark borders, which all images share, are not evidence.
DUPLICATE_CORRELATION = 0.97
ADJACENT_CORRELATION = 0.93
HOPELESS_CORRELATION = 0.90  # of the most promising view: then no other one reaches ADJACENT_CORRELATION
ESTIMATE_MARGIN = 0.02  # of a duplicate, views whose estimate is this much below the best one are left out


class View(NamedTuple):
    """A way to compare two images.

    Attributes:
        estimate: of the correlation, see `screening.estimate_correlations`.
        kind: number of the kind of thumbnail.
        transform: number of the transform of the second image.
    """

    estimate: float
    kind: int
    transform: int


class Pair(NamedTuple):
    """Row numbers of two images, and the views to compare, those with the highest estimates first."""

    first: int
    second: int
    views: Sequence[View]


def best_correlation(thumbnails: Sequence[Gray], pair: Pair) -> tuple[float, int]:
    """Find the best correlation of a pair over its views; views that cannot change the result are left out.

    Args:
        thumbnails: (N, THUMBNAIL_SIDE, THUMBNAIL_SIDE) uint8, for each kind.
        pair: the images and the views.

    Returns:
        The correlation (-1 to 1) and the number of the transform, the smallest one of those with equal correlations. A
        duplicate has the correlation of the first view that shows it to be one.
    """
    best = (-1.0, 0)
    with opencv_in_one_thread(vector_code=False):  # so that alignments are the same on any machine
        for estimate, kind, transform in pair.views:
            if -1 < best[0] < HOPELESS_CORRELATION:
                break
            is_duplicate = best[0] >= DUPLICATE_CORRELATION
            if is_duplicate and (transform == -best[1] or estimate < pair.views[0].estimate - ESTIMATE_MARGIN):
                continue
            one, other = thumbnails[kind][pair.first], thumbnails[kind][pair.second]
            best = max(best, (aligned_correlation(one, apply_transform(other, transform)), -transform))
    return best[0], -best[1]
