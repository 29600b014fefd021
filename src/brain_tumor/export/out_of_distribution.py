"""Out-of-distribution check by a few statistics of the pixels; it needs only numpy."""

from collections.abc import Sequence

import numpy as np

from brain_tumor.core.params import Block
from brain_tumor.core.types import Floats, Gray, Masks

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
CHUNK_SIZE = 256  # images whose statistics are computed together
OOD_QUANTILE = 0.99  # fraction of the validation images within the limit
COVARIANCE_RIDGE = 1e-5  # added to the diagonal, for statistics that hardly vary


class OodReference(Block):
    """Distribution of the training images' statistics.

    Attributes:
        mean: (F,) of the statistics.
        precision: (F, F), the inverse of their covariance.
        limit: Mahalanobis distance above which an image is out of distribution.
    """

    mean: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]
    limit: float


def image_statistics(images: Gray) -> Floats:
    """Compute (N, F) statistics of (N, S, S) images: mean, spread, quantiles, gradients, asymmetry, central level."""
    return np.concatenate([_chunk_statistics(images[k : k + CHUNK_SIZE]) for k in range(0, len(images), CHUNK_SIZE)])


def _chunk_statistics(images: Gray) -> Floats:
    values = images.astype(np.float64) / 255
    gradients = [np.abs(np.diff(values, axis=axis)).mean((1, 2)) for axis in (1, 2)]
    asymmetry = np.abs(values - values[:, :, ::-1]).mean((1, 2))
    quarter = images.shape[1] // 4
    center = values[:, quarter:-quarter, quarter:-quarter].mean((1, 2))
    quantiles = np.quantile(values, QUANTILES, axis=(1, 2))
    columns = [values.mean((1, 2)), values.std((1, 2)), *quantiles, *gradients, asymmetry, center]
    return np.stack(columns, 1)


def fit_reference(training: Gray, validation: Gray) -> OodReference:
    """Fit mean and covariance on training images, and the distance limit on validation images.

    Args:
        training: (N, S, S) preprocessed images.
        validation: (M, S, S) preprocessed images; without any, the limit is infinite.
    """
    statistics = image_statistics(training)
    mean = statistics.mean(0)
    covariance = np.cov(statistics, rowvar=False) + COVARIANCE_RIDGE * np.eye(statistics.shape[1])
    precision: Floats = np.asarray(np.linalg.inv(covariance), np.float64)
    limit = np.quantile(_distances(validation, mean, precision), OOD_QUANTILE) if len(validation) else np.inf
    rows: Sequence[Sequence[float]] = [[round(float(value), 4) for value in row] for row in precision]
    return OodReference(
        mean=tuple(round(float(value), 6) for value in mean),
        precision=tuple(tuple(row) for row in rows),
        limit=round(float(limit), 4),
    )


def is_ood(images: Gray, ood_reference: OodReference) -> Masks:
    """Return (N,): whether a preprocessed image is farther from the training images than 99 % of validation images."""
    distances = _distances(images, np.array(ood_reference.mean), np.array(ood_reference.precision))
    return np.asarray(distances > ood_reference.limit, bool)


def _distances(images: Gray, mean: Floats, precision: Floats) -> Floats:
    """Mahalanobis distances (N,) of images from the training images."""
    deviations = image_statistics(images) - mean
    return np.asarray(np.sqrt(np.maximum(np.einsum("nf,fg,ng->n", deviations, precision, deviations), 0)))
