"""Volumes of any file format, and gray slices of them."""

from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from brain_tumor.core.types import Floats, Gray, Ints, Masks
from brain_tumor.imaging.decode import MAX_PIXELS
from brain_tumor.imaging.scaling import (
    MIN_BACKGROUND_FRACTION,
    PERCENTILES,
    make_pixels_square,
    scale_by_percentiles,
    to_gray_levels,
)

Scalar = TypeVar("Scalar", bound=np.generic)
Plane = Literal["axial", "coronal", "sagittal"]
AXES: dict[Plane, int] = {"sagittal": 0, "coronal": 1, "axial": 2}  # of a volume in RAS+ orientation
MAX_VOXELS = 512 * 512 * 512
MAX_VOLUMES = 4096  # of one file
MIN_FRACTION_OF_NEGATIVES = 0.05  # MIN_BACKGROUND_FRACTION where there are negative values, as in a z-scored head
MIN_BORDER_FRACTION = 0.5  # of the outermost voxels that have the background's value, unless it is the smallest one
SAMPLED_VOXELS = 100_003  # to find the most frequent value; a prime, so that no axis is sampled at one position
MAX_BORDER_RANGE = 0.05  # of the whole range: that of the middle half of the border voxels of a head in air


class Volume(NamedTuple):
    """A volume in RAS+ orientation: its axes grow to the patient's right, to anterior and to superior.

    Attributes:
        values: (X, Y, Z).
        spacing: size of a voxel along the three axes, in any unit.
        warnings: reasons to distrust the volume, such as an unknown orientation.
    """

    values: Floats
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    warnings: tuple[str, ...] = ()


class VolumeSlice(NamedTuple):
    """A slice of a volume.

    Attributes:
        position: index along the axis of its plane.
        gray: (H, W).
        mask: (H, W), None if the volume has no mask.
    """

    position: int
    gray: Gray
    mask: Masks | None


def parse_plane(name: str) -> Plane:
    """Check the name of a plane.

    Raises:
        ValueError: the name is not that of a plane.
    """
    for plane in AXES:
        if plane == name:
            return plane
    raise ValueError(f"plane '{name}' is not one of {', '.join(AXES)}")


def select_first_volume(shape: tuple[int, ...]) -> tuple[tuple[slice | int | None, ...], tuple[str, ...]]:
    """Return the index of the first volume (X, Y, Z) in an array, and a warning if there are several.

    Args:
        shape: of the array: two axes (an image, which becomes a volume of one slice), three, or more, such as time
            points or contrasts.

    Raises:
        ValueError: fewer than two axes, or a volume without voxels or with more than MAX_VOXELS.
    """
    voxels, count = (int(np.prod(part, dtype=np.int64)) for part in (shape[:3], shape[3:]))
    if len(shape) < 2 or not 0 < voxels <= MAX_VOXELS or not 0 < count <= MAX_VOLUMES:
        raise ValueError(f"the shape {shape} is not that of a volume of at most {MAX_VOXELS:,} voxels")
    index = (slice(None),) * min(3, len(shape)) + ((None,) if len(shape) == 2 else (0,) * (len(shape) - 3))
    return index, (f"contains {count} volumes: only the first one is read",) if count > 1 else ()


def take_slices(volume: Volume, plane: Plane, count: int, mask: Masks | None = None) -> list[VolumeSlice]:
    """Take gray slices of a volume, where the tumor or, without a mask, the head is large.

    Slices are evenly spaced over the range in which the foreground covers at least half its maximum area in a slice.
    The foreground is the mask or, if it is empty or None, that of `find_foreground`. The whole volume is scaled by
    `scaling.scale_by_percentiles`, and its background becomes black. Slices whose voxels are not square are enlarged
    along one axis.

    Args:
        volume: the volume.
        plane: orientation of the slices.
        count: maximum number of slices.
        mask: (X, Y, Z).

    Returns:
        At most `count` slices by ascending position, in the orientation of `to_display_orientation`.

    Raises:
        ValueError: a slice of more than MAX_PIXELS, no finite value, or a spacing that cannot be right.
    """
    values, axis = volume.values, AXES[plane]
    slice_size = values.size // values.shape[axis]
    if slice_size > MAX_PIXELS:
        raise ValueError(f"slices of {slice_size:,} pixels, more than {MAX_PIXELS:,}")
    positions = choose_positions(mask if mask is not None and mask.any() else find_foreground(values), plane, count)
    grays = to_gray_levels(scale_by_percentiles(values, background=find_background(values)))
    # The displayed slice is transposed: its columns lie along the first of the two other axes.
    column_spacing, row_spacing = (volume.spacing[k] for k in range(3) if k != axis)

    def display(array: Gray, position: int) -> Gray:
        return make_pixels_square(to_display_orientation(array, axis, position), row_spacing, column_spacing)

    return [
        VolumeSlice(
            position,
            display(grays, position),
            None if mask is None else display(np.where(mask, 255, 0).astype(np.uint8), position) > 127,
        )
        for position in positions.tolist()
    ]


def find_foreground(values: Floats) -> Masks:
    """Find the voxels that differ from the background by more than the mean difference.

    The background is the value that a fifth of all voxels have (a twentieth, where there are negative values); where
    all values are positive, half of the outermost voxels must have it, too. Otherwise it is the median of the outermost
    voxels if these have nearly one value, as in air, or the minimum.

    Args:
        values: (X, Y, Z).

    Returns:
        (X, Y, Z).
    """
    finite = np.isfinite(values)
    inside = values if finite.all() else values[finite]
    if not inside.size:
        return finite
    fraction = MIN_FRACTION_OF_NEGATIVES if inside.min() < 0 else MIN_BACKGROUND_FRACTION
    frequent = None if _is_masked(finite) else _frequent_background(values, finite, fraction)
    background = _border_value(values, inside) if frequent is None else frequent
    difference = np.abs(np.where(finite, values, background) - background)
    foreground: Masks = difference > difference.mean()
    return foreground


def find_background(values: Floats) -> Masks:
    """Find the voxels (X, Y, Z) of the background: not finite, or the value that a fifth of all voxels have.

    The head of a z-scored volume has values below its background of 0, also after its values were made positive. Where
    all values are positive, half of the outermost voxels must have the value, too: it may be that of tissue.
    """
    finite = np.isfinite(values)
    if _is_masked(finite):
        return ~finite
    background = _frequent_background(values, finite, MIN_BACKGROUND_FRACTION)
    if background is None or background == values[finite].min():  # the smallest value becomes black anyway
        return ~finite
    is_background: Masks = ~finite | (values == background)
    return is_background


def _is_masked(finite: Masks) -> bool:
    """Return whether so many voxels are not finite that they are the background."""
    return bool(np.count_nonzero(~finite) >= MIN_BACKGROUND_FRACTION * finite.size)


def _frequent_background(values: Floats, finite: Masks, fraction: float) -> float | None:
    """Return the most frequent value if it is the background, see `find_foreground`; otherwise None."""
    inside = values[finite]
    if not inside.size:
        return None
    levels, counts = np.unique(inside[:: max(1, inside.size // SAMPLED_VOXELS)], return_counts=True)
    level, smallest = float(levels[counts.argmax()]), float(inside.min())
    if np.count_nonzero(inside == level) < fraction * values.size:
        return None
    if smallest >= 0 and level > smallest and (_border(values) == level).mean() < MIN_BORDER_FRACTION:
        return None
    return level


def _border_value(values: Floats, inside: Floats) -> float:
    """Return the median of the outermost voxels if they have nearly one value, as in air; otherwise the minimum."""
    border = _border(values)
    low, median, high = np.percentile(border, (25, 50, 75)) if border.size else (0.0, 0.0, np.inf)
    darkest, brightest = np.percentile(inside, PERCENTILES)
    return float(median if high - low <= MAX_BORDER_RANGE * (brightest - darkest) else inside.min())


def _border(values: Floats) -> Floats:
    """Return the finite values of the outermost voxels, (N,); axes of one or two voxels have none of their own."""
    is_border = np.ones(values.shape, np.bool_)
    is_border[tuple(slice(1, -1) if size > 2 else slice(None) for size in values.shape)] = False
    border: Floats = values[is_border & np.isfinite(values)]
    return border


def choose_positions(foreground: Masks, plane: Plane, count: int) -> Ints:
    """Choose evenly spaced slices from where the foreground covers at least half its maximum area in a slice.

    Args:
        foreground: (X, Y, Z) in RAS+ orientation.
        plane: orientation of the slices.
        count: maximum number of positions.

    Returns:
        (N,) distinct positions along the axis of the plane, ascending, N <= count.
    """
    axis = AXES[plane]
    area = foreground.sum(tuple(k for k in range(3) if k != axis))
    candidates = np.flatnonzero(area >= area.max() / 2)
    positions: Ints = np.unique(candidates[np.linspace(0, len(candidates) - 1, count).round().astype(int)])
    return positions


def to_display_orientation(volume: NDArray[Scalar], axis: int, position: int) -> NDArray[Scalar]:
    """Take one slice (H, W) of a volume (X, Y, Z) in RAS+ orientation as a radiologist views it.

    Anterior (axial) or superior (coronal, sagittal) is up, the patient's right is at the left of the slice, and a face
    in profile looks left.
    """
    upright: NDArray[Scalar] = np.take(volume, position, axis).T[::-1, ::-1]
    return upright
