"""A cheap estimate of how well two thumbnails correlate after alignment: only views with a high one are aligned.

An affine motion changes an image, to first order, by a weighted sum of its gradients. So the second image is fitted by
the first one and its gradients, a linear problem that needs no iteration (Lucas and Kanade 1981; Baker and Matthews
2004), at a fourth of the resolution and inside the head of the first image only. Text, arrows and what a border cuts
off are left out: the fit is repeated without the pixels that fit worst.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from brain_tumor.audit.transforms import TRANSFORMS, apply_transform, dihedral_tables
from brain_tumor.core.types import Floats, Gray, Ints

Reduced = NDArray[np.uint16]

SCREEN_SIDE = 16  # pixels of the reduced thumbnails
OUTLIER_FRACTION = 0.15  # fraction of pixels left out of the second fit
HEAD_FRACTION, MIN_HEAD_LEVEL = 0.15, 128  # sums of blocks above this fraction of the largest, and this, are a head
MIN_HEAD_PIXELS = 24  # smaller heads are not judged
RIDGE = 1e-6  # added to the diagonal of the normal equations, whose columns have norm 1
DECIMALS = 3  # of an estimate: further digits may differ between machines
CHUNK_PAIRS = 512


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
    inverse = dihedral_tables()[1].tolist()
    for base, other, moves in ((first, second, range(len(TRANSFORMS))), (second, first, inverse)):
        order = np.argsort(base, kind="stable")
        for start in range(0, len(order), CHUNK_PAIRS):
            pairs = order[start : start + CHUNK_PAIRS]
            rows, position = np.unique(base[pairs], return_inverse=True)
            for kind, images in enumerate(reduced):
                basis, head = _fit_basis(images[rows].astype(np.float64))
                for transform, move in enumerate(moves):
                    wanted = np.flatnonzero(views[pairs, kind, transform])
                    fitted, own = position[wanted], pairs[wanted]
                    others = apply_transform(images[other[own]].astype(np.float64), move)
                    estimates = _fit(basis[fitted], head[fitted], others)
                    result[own, kind, transform] = np.maximum(result[own, kind, transform], estimates)
    return result


def _fit_basis(images: Floats) -> tuple[Floats, Floats]:
    """Return what other images are fitted by.

    Returns:
        (N, 8, SCREEN_SIDE²) orthonormal rows that span a constant, the image, and its changes under an affine motion,
        all 0 outside the head; and (N, SCREEN_SIDE²) the head, 1 inside and 0 outside.
    """
    y, x = (np.mgrid[:SCREEN_SIDE, :SCREEN_SIDE] - (SCREEN_SIDE - 1) / 2) / SCREEN_SIDE
    down, right = np.gradient(images, axis=(1, 2))
    head = images > np.maximum(HEAD_FRACTION * images.max((1, 2), keepdims=True), MIN_HEAD_LEVEL)
    parts = [np.ones_like(images), images, right, down, x * right, y * right, x * down, y * down]
    columns = (np.stack(parts, 1) * head[:, None]).reshape(len(images), len(parts), -1)
    columns /= np.linalg.norm(columns, axis=2, keepdims=True) + 1e-9
    products = columns @ columns.transpose(0, 2, 1) + RIDGE * np.eye(len(parts))
    return np.linalg.solve(np.linalg.cholesky(products), columns), head.reshape(len(images), -1).astype(np.float64)


def _fit(basis: Floats, head: Floats, images: Floats) -> Floats:
    """Return the multiple correlation (N,) of (N, SCREEN_SIDE, SCREEN_SIDE) images with their fits; 1 if not judged."""
    values = images.reshape(len(images), SCREEN_SIDE**2)
    residuals = np.abs(head * values - _combine(basis, _project(basis, head * values)))
    rank = int((1 - OUTLIER_FRACTION) * residuals.shape[1])
    weights: Floats = head * (residuals <= np.partition(residuals, rank, axis=1)[:, rank, None])
    products = (basis * weights[:, None]) @ basis.transpose(0, 2, 1) + RIDGE * np.eye(basis.shape[1])
    factors = np.linalg.solve(products, _project(basis, weights * values)[:, :, None])
    fitted = _combine(basis, np.asarray(factors[:, :, 0], np.float64))
    count = weights.sum(1)
    mean = (weights * values).sum(1) / np.maximum(count, 1)
    error = (weights * (values - fitted) ** 2).sum(1)
    variance = (weights * (values - mean[:, None]) ** 2).sum(1)
    correlation = np.sqrt(np.clip(1 - error / np.maximum(variance, 1e-9), 0, 1))
    result: Floats = np.where(count < MIN_HEAD_PIXELS, 1.0, correlation).round(DECIMALS)
    return result


def _project(basis: Floats, values: Floats) -> Floats:
    return np.asarray((basis @ values[:, :, None])[:, :, 0])


def _combine(basis: Floats, weights: Floats) -> Floats:
    return np.asarray((weights[:, None] @ basis)[:, 0])
