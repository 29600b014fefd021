"""Verification of candidate pairs: correlation of two thumbnails inside the heads after affine alignment."""

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np

from brain_tumor.audit.transforms import apply_transform
from brain_tumor.core.types import Gray, Masks
from brain_tumor.imaging.head import foreground_threshold

OUTLIER_FRACTION = 0.05  # fraction of pixels left out of a comparison: text, arrows, what a border cuts off
MAX_ECC_ITERATIONS = 20
MIN_ECC_GAIN = 5e-4  # smallest increase of the ECC criterion before the alignment stops
MAX_AREA_CHANGE = 0.5  # an alignment that scales areas by more than 1 ± this is rejected
MIN_COMPARED_FRACTION = 0.1  # fraction of a thumbnail that must be comparable


def best_correlation(frames: Gray, heads: Gray, item: tuple[int, int, Masks]) -> tuple[float, int]:
    """Find the best correlation of a pair over its views.

    Args:
        frames, heads: (N, THUMBNAIL_SIDE, THUMBNAIL_SIDE) uint8, the thumbnails.
        item: row numbers of both images, and (2, 8) bool: the views to try, by kind of thumbnail and transform.

    Returns:
        The correlation (-1 to 1) and the number of the transform.
    """
    first, second, views = item
    best = (-1.0, 0)
    with portable_opencv():
        for transform, kind in np.argwhere(views.T):
            images = (frames, heads)[kind]
            value = aligned_correlation(images[first], apply_transform(images[second], int(transform)))
            best = max(best, (value, -int(transform)))
    return best[0], -best[1]


@contextmanager
def portable_opencv() -> Iterator[None]:
    """Let OpenCV compute in one thread and without vector code, on which the last bits of an alignment depend."""
    num_threads, optimized = cv2.getNumThreads(), cv2.useOptimized()
    cv2.setNumThreads(1)
    cv2.setUseOptimized(False)
    try:
        yield
    finally:
        cv2.setNumThreads(num_threads)
        cv2.setUseOptimized(optimized)


def aligned_correlation(one: Gray, other: Gray) -> float:
    """Correlate two thumbnails inside their heads after `other` is aligned to `one` (affine, ECC).

    The correlation is computed from sums of whole numbers and rounded to 4 digits, so that it is the same on any
    machine. Source of the alignment: Evangelidis and Psarakis 2008, as implemented in OpenCV.

    Returns:
        -1 to 1; -1 where the alignment does not converge or is implausible.
    """
    warp = np.eye(2, 3, dtype=np.float32)
    try:
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, MAX_ECC_ITERATIONS, MIN_ECC_GAIN)
        warp = np.asarray(cv2.findTransformECC(one, other, warp, cv2.MOTION_AFFINE, criteria)[1], np.float32)
    except cv2.error:  # no convergence: the images differ
        return -1.0
    if abs(np.linalg.det(warp[:, :2]) - 1) > MAX_AREA_CHANGE:
        return -1.0
    size, inverse = one.shape[::-1], cv2.WARP_INVERSE_MAP
    aligned = cv2.warpAffine(other, warp, size, flags=inverse | cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(np.full_like(other, 255), warp, size, flags=inverse | cv2.INTER_NEAREST) > 0
    one, aligned = (np.asarray(cv2.GaussianBlur(image, (3, 3), 0.7), np.uint8) for image in (one, aligned))
    compared = inside & ((one > foreground_threshold(one)) | (aligned > foreground_threshold(aligned)))
    if compared.sum() < MIN_COMPARED_FRACTION * compared.size:
        return -1.0
    inliers = ~outlier_mask(one[compared], aligned[compared])
    return round(pearson_correlation(one[compared][inliers], aligned[compared][inliers]), 4)


def outlier_mask(one: Gray, other: Gray) -> Masks:
    """Mark the OUTLIER_FRACTION of (N,) pixels with the largest residuals of a linear fit of `other` to `one`."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    a, b = a - a.mean(), b - b.mean()
    variance = (a * a).sum()
    residual = np.abs(b - a * ((a * b).sum() / variance if variance else 0.0))
    mask: Masks = residual > np.quantile(residual, 1 - OUTLIER_FRACTION)
    return mask


def pearson_correlation(one: Gray, other: Gray) -> float:
    """Pearson correlation of two (N,) uint8 arrays, from exact integer sums; 0 if one is constant."""
    a, b = one.astype(np.int64), other.astype(np.int64)
    n = len(a)
    covariance = int(n * (a * b).sum() - a.sum() * b.sum())
    variances = [int(n * (x * x).sum() - x.sum() ** 2) for x in (a, b)]
    return covariance / (variances[0] ** 0.5 * variances[1] ** 0.5) if min(variances) > 0 else 0.0
