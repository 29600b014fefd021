"""Scalar volumes in space: interpolation, and smooth random volumes."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from brain_tumor.core.types import Floats


@dataclass(frozen=True)
class Volume:
    """A scalar field on a cubic grid.

    Attributes:
        data: (X, Y, Z) of any real type.
        origin: (3,) position of the first voxel in mm.
        spacing: edge of a voxel in mm.
        beyond: mode of scipy.ndimage for points outside the grid: the nearest voxel, `background`, or a copy.
        background: value outside the grid for "constant".
    """

    data: NDArray[Any]
    origin: Floats
    spacing: float
    beyond: Literal["nearest", "constant", "grid-wrap"] = "nearest"
    background: float = 0.0

    def interpolate(self, points: Floats) -> Floats:
        """Interpolate at points in mm, trilinear: (3, ...) -> (...)."""
        voxels = (points - broadcast_vector(self.origin, points)) / self.spacing
        return ndi.map_coordinates(
            self.data, voxels, output=np.float64, order=1, mode=self.beyond, cval=self.background
        )


def broadcast_vector(vector: Floats, points: Floats) -> Floats:
    """Reshape a (3,) vector to (3, 1, ...), so that it can be added to points (3, ...)."""
    return vector.reshape(3, *(1,) * (points.ndim - 1))


def norm(vectors: Floats) -> Floats:
    """Compute the Euclidean norm of vectors: (3, ...) -> (...)."""
    return np.asarray(np.sqrt((vectors**2).sum(0)))


def smoothstep(values: Floats, low: Floats | float, high: Floats | float) -> Floats:
    """Compute a cubic ramp from 0 at `low` to 1 at `high`; any shape."""
    ramp = np.clip((values - low) / (high - low), 0, 1)
    return ramp * ramp * (3 - 2 * ramp)


def blend(under: Floats, over: Floats | float, opacity: Floats) -> Floats:
    """Blend `over` onto `under` with an opacity of 0 to 1."""
    return np.asarray(under + (over - under) * opacity)


def smooth_union(first: Floats, second: Floats, width: float) -> Floats:
    """Compute the union of two shapes, both as signed distances in mm, with concave edges rounded over `width` mm."""
    return np.minimum(first, second) - np.clip(width - np.abs(first - second), 0, None) ** 2 / (4 * width)


def sample_noise(rng: np.random.Generator, size: int, correlation: float, spacing: float, deviation: float) -> Volume:
    """Sample smooth Gaussian noise of zero mean on `size`³ voxels around the origin, repeated periodically.

    Args:
        correlation: standard deviation of the smoothing in voxels.
        spacing: edge of a voxel in mm.
        deviation: standard deviation of the values.
    """
    data = ndi.gaussian_filter(rng.standard_normal((size, size, size)), correlation, mode="wrap")
    origin = np.full(3, -spacing * size / 2)
    return Volume((data * (deviation / data.std())).astype(np.float32), origin, spacing, "grid-wrap")
