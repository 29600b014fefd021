"""Whether an image is like those that a model was trained on, by a few statistics of its pixels; needs numpy alone."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from brain_tumor.params import Block

Gray = NDArray[np.uint8]
Values = NDArray[np.float64]
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
CHUNK = 256
USUAL = 0.99  # share of the validation images that are within the limit


class Typical(Block):
    """What training images are like: mean and inverse covariance of their statistics, and a distance still usual."""

    mean: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]
    limit: float


def statistics(images: Gray) -> Values:
    """(N, S, S) uint8 → (N, F): level, spread, quantiles, sharpness, symmetry and how bright the middle is."""
    return np.concatenate([_statistics(images[k : k + CHUNK]) for k in range(0, len(images), CHUNK)])


def _statistics(images: Gray) -> Values:
    values = images.astype(np.float64) / 255
    steps = [np.abs(np.diff(values, axis=axis)).mean((1, 2)) for axis in (1, 2)]
    mirrored = np.abs(values - values[:, :, ::-1]).mean((1, 2))
    quarter = images.shape[1] // 4
    middle = values[:, quarter:-quarter, quarter:-quarter].mean((1, 2))
    quantiles = np.quantile(values, QUANTILES, axis=(1, 2))
    columns = [values.mean((1, 2)), values.std((1, 2)), *quantiles, *steps, mirrored, middle]
    return np.stack(columns, 1)


def learn(training: Gray, validation: Gray) -> Typical:
    """Learn from enhanced training images what is typical, and from validation images how far away is still usual."""
    known = statistics(training)
    mean = known.mean(0)
    # A little added to the diagonal, for statistics that hardly vary.
    spread = np.cov(known, rowvar=False) + 1e-5 * np.eye(known.shape[1])
    precision: Values = np.asarray(np.linalg.inv(spread), np.float64)
    usual = np.quantile(_distances(validation, mean, precision), USUAL) if len(validation) else np.inf
    rows: Sequence[Sequence[float]] = [[round(float(value), 4) for value in row] for row in precision]
    return Typical(
        mean=tuple(round(float(value), 6) for value in mean),
        precision=tuple(tuple(row) for row in rows),
        limit=round(float(usual), 4),
    )


def unusual(images: Gray, typical: Typical) -> NDArray[np.bool_]:
    """(N,) whether an enhanced image lies further away from training images than 99 of 100 validation images do."""
    far = _distances(images, np.array(typical.mean), np.array(typical.precision)) > typical.limit
    return np.asarray(far, bool)


def _distances(images: Gray, mean: Values, precision: Values) -> Values:
    """Mahalanobis distances."""
    away = statistics(images) - mean
    return np.asarray(np.sqrt(np.maximum(np.einsum("nf,fg,ng->n", away, precision, away), 0)))
