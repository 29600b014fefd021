"""Scalar volumes in space: reading them between the voxels, and drawing smooth random ones."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Volume:
    """A scalar field on a cubic grid.

    Attributes:
        data: (X, Y, Z) of any real type.
        origin: (3,) position of the first voxel in mm.
        spacing: edge of a voxel in mm.
        beyond: what lies outside the grid, as in scipy.ndimage: the nearest voxel, `background`, or a copy.
        background: value outside the grid for "constant".
    """

    data: NDArray[Any]
    origin: Floats
    spacing: float
    beyond: Literal["nearest", "constant", "grid-wrap"] = "nearest"
    background: float = 0.0

    def at(self, points: Floats) -> Floats:
        """Trilinear values at points given in mm: (3, ...) -> (...)."""
        voxels = (points - column(self.origin, points)) / self.spacing
        return ndi.map_coordinates(
            self.data, voxels, output=np.float64, order=1, mode=self.beyond, cval=self.background
        )


def column(vector: Floats, points: Floats) -> Floats:
    """View a (3,) vector as (3, 1, ...), to be added to or multiplied with points of shape (3, ...)."""
    return vector.reshape(3, *(1,) * (points.ndim - 1))


def length(vectors: Floats) -> Floats:
    """Euclidean length of vectors: (3, ...) -> (...)."""
    return np.asarray(np.sqrt((vectors**2).sum(0)))


def smoothstep(values: Floats, low: Floats | float, high: Floats | float) -> Floats:
    """Cubic ramp from 0 at `low` to 1 at `high`; any shape."""
    ramp = np.clip((values - low) / (high - low), 0, 1)
    return ramp * ramp * (3 - 2 * ramp)


def blend(under: Floats, over: Floats | float, share: Floats) -> Floats:
    """Lay `over` on `under` with opacity `share`, 0 to 1."""
    return np.asarray(under + (over - under) * share)


def smooth_union(first: Floats, second: Floats, width: float) -> Floats:
    """Unite two shapes given by signed distances in mm, rounding concave edges over `width` mm."""
    return np.minimum(first, second) - np.clip(width - np.abs(first - second), 0, None) ** 2 / (4 * width)


def noise(rng: np.random.Generator, size: int, correlation: float, spacing: float, deviation: float) -> Volume:
    """Draw smooth Gaussian noise, zero in the mean, on `size`³ voxels centered at the origin and repeated beyond.

    Args:
        correlation: standard deviation of the smoothing in voxels.
        spacing: edge of a voxel in mm.
        deviation: standard deviation of the values.
    """
    data = ndi.gaussian_filter(rng.standard_normal((size, size, size)), correlation, mode="wrap")
    origin = np.full(3, -spacing * size / 2)
    return Volume((data * (deviation / data.std())).astype(np.float32), origin, spacing, "grid-wrap")
