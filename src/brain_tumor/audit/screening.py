"""A cheap estimate of how well two thumbnails correlate after alignment: only views with a high one are aligned.

An affine motion changes an image, to first order, by a weighted sum of its gradients. So the second image is fitted by
the first one and its gradients, a linear problem that needs no search (Lucas and Kanade 1981; Baker and Matthews 2004),
at a fourth of the resolution and inside the head of the first image only. Text, arrows and what a border cuts off are
left out: the fit is repeated without the pixels that fit worst. Where the estimate could still become high enough, the
second image is moved back by the fitted motion, and fitted again.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brain_tumor.audit.transforms import TRANSFORMS, apply_transform, dihedral_tables
from brain_tumor.core.types import Floats, Gray, Ints
from brain_tumor.parallel import num_workers

Reduced = NDArray[np.uint16]

SCREEN_SIDE = 16  # pixels of the reduced thumbnails
OUTLIER_FRACTION = 0.15  # fraction of pixels left out of the second fit
HEAD_FRACTION, MIN_HEAD_LEVEL = 0.15, 128  # sums of blocks above this fraction of the largest, and this, are a head
MIN_HEAD_PIXELS = 24  # smaller heads are not judged
RIDGE = 1e-6  # added to the diagonal of the normal equations, whose columns have norm 1
MIN_ESTIMATE = 0.93  # views with a lower estimate are not worth an alignment: it is rarely below the correlation
MIN_REFINED_ESTIMATE = 0.75  # from here to MIN_ESTIMATE, images are moved and fitted again
MAX_MOTION = 3.0  # pixels of the reduced thumbnails
MIN_GAIN = 0.1  # factor of the first image in the second one, below which there is no motion to speak of
DECIMALS = 3  # of an estimate: further digits may differ between machines
CHUNK_PAIRS = 512
ROWS, COLUMNS = np.mgrid[:SCREEN_SIDE, :SCREEN_SIDE].reshape(2, -1).astype(np.float64)
Y, X = ((axis - (SCREEN_SIDE - 1) / 2) / SCREEN_SIDE for axis in (ROWS, COLUMNS))  # from the center of the image


class Model(NamedTuple):
    """What other images are fitted by: a constant, an image, and its changes under an affine motion.

    Attributes:
        basis: (N, 8, SCREEN_SIDE²) orthonormal rows that span them, 0 outside the head.
        head: (N, SCREEN_SIDE²) 1 inside the head and 0 outside.
        mixture: (N, 8, 8) turns factors of the basis into those of the constant, the image and its changes.
    """

    basis: Floats
    head: Floats
    mixture: Floats

    def select(self, rows: Ints) -> "Model":
        """Return the models of some images."""
        return Model(*(values[rows] for values in self))


def reduce_thumbnails(images: Gray) -> Reduced:
    """Add up square blocks of (N, THUMBNAIL_SIDE, THUMBNAIL_SIDE) thumbnails: (N, SCREEN_SIDE, SCREEN_SIDE)."""
    size = images.shape[1] // SCREEN_SIDE
    reduced = np.zeros((len(images), SCREEN_SIDE, SCREEN_SIDE), np.uint16)
    for row, column in np.ndindex(size, size):
        reduced += images[:, row::size, column::size]
    return reduced


def estimate_correlations(reduced: Sequence[Reduced], first: Ints, second: Ints, views: NDArray[np.bool_]) -> Floats:
    """Estimate the correlations of pairs after alignment; the better one of two fits, of either image by the other.

    Args:
        reduced: see `reduce_thumbnails`, for each kind of thumbnail.
        first, second: (P,) row numbers of both images.
        views: (P, kinds, 8) the views to estimate: by kind of thumbnail and transform of the second image.

    Returns:
        (P, kinds, 8) the estimates, 0 to 1; -1 for views that are not asked for.
    """
    result = np.full(views.shape, -1.0)
    directions = ((first, second, range(len(TRANSFORMS))), (second, first, dihedral_tables()[1].tolist()))
    with ThreadPoolExecutor(num_workers()) as pool:  # NumPy computes outside of Python's lock
        for base, other, moves in directions:
            order = np.argsort(base, kind="stable")  # so that an image's model is built once
            chunks = [order[start : start + CHUNK_PAIRS] for start in range(0, len(order), CHUNK_PAIRS)]
            estimate = partial(_estimate_chunk, reduced, base, other, views, moves)
            for pairs, estimates in zip(chunks, pool.map(estimate, chunks), strict=True):
                result[pairs] = np.maximum(result[pairs], estimates)
    return result


def _estimate_chunk(
    reduced: Sequence[Reduced], base: Ints, other: Ints, views: NDArray[np.bool_], moves: Sequence[int], pairs: Ints
) -> Floats:
    """Estimate the correlations of some pairs, see `estimate_correlations`.

    Args:
        base: (P,) rows of the images whose models are fitted.
        other: (P,) rows of the images that are fitted, after the transforms of `moves`, one for each view.
        pairs: numbers of the pairs.
    """
    rows, position = np.unique(base[pairs], return_inverse=True)
    result = np.full((len(pairs), *views.shape[1:]), -1.0)
    for kind, images in enumerate(reduced):
        models = _build_models(images[rows].astype(np.float64))
        for transform, move in enumerate(moves):
            wanted = np.flatnonzero(views[pairs, kind, transform])
            moved = apply_transform(images[other[pairs[wanted]]].astype(np.float64), move)
            flat = moved.reshape(len(wanted), SCREEN_SIDE**2)
            result[wanted, kind, transform] = _estimate(models.select(position[wanted]), flat)
    return result


def _build_models(images: Floats) -> Model:
    """Build the models of (N, SCREEN_SIDE, SCREEN_SIDE) images."""
    down, right = (change.reshape(len(images), -1) for change in np.gradient(images, axis=(1, 2)))
    flat = images.reshape(len(images), -1)
    head = (flat > np.maximum(HEAD_FRACTION * flat.max(1, keepdims=True), MIN_HEAD_LEVEL)).astype(np.float64)
    parts = [np.ones_like(flat), flat, right, down, X * right, Y * right, X * down, Y * down]
    columns = np.stack(parts, 1) * head[:, None]
    norms = np.linalg.norm(columns, axis=2, keepdims=True) + 1e-9
    columns /= norms
    products = columns @ columns.transpose(0, 2, 1) + RIDGE * np.eye(len(parts))
    mixture = np.linalg.inv(np.linalg.cholesky(products))
    return Model(mixture @ columns, head, mixture / norms.transpose(0, 2, 1))


def _estimate(models: Model, images: Floats) -> Floats:
    """Estimate the correlations (N,) of (N, SCREEN_SIDE²) images with the images of the models after alignment."""
    estimates, factors = _fit(models, images)
    unclear = np.flatnonzero((estimates >= MIN_REFINED_ESTIMATE) & (estimates < MIN_ESTIMATE))
    selected = models.select(unclear)
    moved = _move_back(images[unclear], _project(selected.mixture.transpose(0, 2, 1), factors[unclear]))
    estimates[unclear] = np.maximum(estimates[unclear], _fit(selected, moved)[0])
    return estimates.round(DECIMALS)


def _fit(models: Model, images: Floats) -> tuple[Floats, Floats]:
    """Fit (N, SCREEN_SIDE²) images: return their multiple correlations (N,), 1 if not judged, and factors (N, 8)."""
    basis, head, _ = models
    residuals = np.abs(head * images - _combine(basis, _project(basis, head * images)))
    rank = int((1 - OUTLIER_FRACTION) * SCREEN_SIDE**2)
    weights: Floats = head * (residuals <= np.partition(residuals, rank, axis=1)[:, rank, None])
    products = (basis * weights[:, None]) @ basis.transpose(0, 2, 1) + RIDGE * np.eye(basis.shape[1])
    factors = np.asarray(np.linalg.solve(products, _project(basis, weights * images)[:, :, None])[:, :, 0], np.float64)
    count = weights.sum(1)
    mean = (weights * images).sum(1) / np.maximum(count, 1)
    error = (weights * (images - _combine(basis, factors)) ** 2).sum(1)
    variance = (weights * (images - mean[:, None]) ** 2).sum(1)
    correlation = np.sqrt(np.clip(1 - error / np.maximum(variance, 1e-9), 0, 1))
    return np.where(count < MIN_HEAD_PIXELS, 1.0, correlation), factors


def _move_back(images: Floats, factors: Floats) -> Floats:
    """Undo the motion of (N, SCREEN_SIDE²) images, bilinearly.

    Args:
        images: to be moved.
        factors: (N, 8) of the constant, the first image and its changes, in the order of `_build_models`.
    """
    gain = factors[:, 1:2]
    gain = np.where(np.abs(gain) < MIN_GAIN, np.inf, gain)
    right = (factors[:, 2:3] + factors[:, 4:5] * X + factors[:, 5:6] * Y) / gain
    down = (factors[:, 3:4] + factors[:, 6:7] * X + factors[:, 7:8] * Y) / gain
    x, y = (
        np.clip(start - np.clip(motion, -MAX_MOTION, MAX_MOTION), 0, SCREEN_SIDE - 1.001)
        for start, motion in ((COLUMNS, right), (ROWS, down))
    )
    left, top = x.astype(np.int64), y.astype(np.int64)
    x, y = x - left, y - top
    corner = np.arange(len(images))[:, None] * SCREEN_SIDE**2 + top * SCREEN_SIDE + left
    values = images.ravel()
    upper = values[corner] * (1 - x) + values[corner + 1] * x
    lower = values[corner + SCREEN_SIDE] * (1 - x) + values[corner + SCREEN_SIDE + 1] * x
    moved: Floats = upper * (1 - y) + lower * y
    return moved


def _project(basis: Floats, values: Floats) -> Floats:
    return np.asarray((basis @ values[:, :, None])[:, :, 0])


def _combine(basis: Floats, weights: Floats) -> Floats:
    return np.asarray((weights[:, None] @ basis)[:, 0])
