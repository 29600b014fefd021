"""Decoding NIfTI volumes and taking gray slices from them."""

import gzip
import io
import zlib
from typing import Any, Literal, NamedTuple, TypeVar

import nibabel
import numpy as np
from numpy.typing import NDArray

from brain_tumor.core.types import Floats, Gray, Ints, Masks
from brain_tumor.imaging.decode import MAX_PIXELS
from brain_tumor.imaging.scaling import clip_percentiles, scale_to_unit

Scalar = TypeVar("Scalar", bound=np.generic)
Plane = Literal["axial", "coronal", "sagittal"]
AXES: dict[Plane, int] = {"sagittal": 0, "coronal": 1, "axial": 2}  # of a volume in RAS+ orientation
MAX_VOXELS = 512 * 512 * 512


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


def decode_nifti(content: bytes) -> Floats:
    """Decode a NIfTI file, compressed or not.

    Returns:
        (X, Y, Z), its axes reordered and flipped to the nearest RAS+ orientation: the first axis grows to the
        patient's right, the second to anterior, the third to superior.

    Raises:
        ValueError: not a three-dimensional volume of at most MAX_VOXELS, or voxels that are not gray levels. For broken
            files nibabel raises other exceptions as well.
    """
    if content[:2] == b"\x1f\x8b":
        content = _decompress(content)
    volume: Any = nibabel.Nifti1Image.from_bytes(content)
    if len(volume.shape) != 3 or not 0 < int(np.prod(volume.shape, dtype=np.int64)) <= MAX_VOXELS:
        raise ValueError(f"the shape {volume.shape} is not that of a volume of at most {MAX_VOXELS:,} voxels")
    if volume.get_data_dtype().kind not in "biuf":
        raise ValueError(f"voxels of the type {volume.get_data_dtype()}, which are not gray levels")
    return np.asarray(nibabel.as_closest_canonical(volume).dataobj, np.float64)


def take_slices(values: Floats, plane: Plane, count: int, mask: Masks | None = None) -> list[VolumeSlice]:
    """Take gray slices of a volume, where the tumor or, without a mask, the head is large.

    Slices are evenly spaced over the range in which the foreground covers at least half its maximum area in a slice.
    The foreground is the mask or, if it is empty or None, all voxels brighter than the volume's mean. The 0.5th
    percentile of the whole volume becomes 0 and the 99.8th becomes 255.

    Args:
        values: (X, Y, Z) in RAS+ orientation.
        plane: orientation of the slices.
        count: maximum number of slices.
        mask: (X, Y, Z).

    Returns:
        At most `count` slices by ascending position, in the orientation of `to_display_orientation`.

    Raises:
        ValueError: a slice of more than MAX_PIXELS, or values that are not finite.
    """
    axis = AXES[plane]
    slice_size = values.size // values.shape[axis]
    if slice_size > MAX_PIXELS:
        raise ValueError(f"slices of {slice_size:,} pixels, more than {MAX_PIXELS:,}")
    positions = choose_positions(mask if mask is not None and mask.any() else values > values.mean(), plane, count)
    grays = np.rint(255 * scale_to_unit(clip_percentiles(values))).astype(np.uint8)
    return [
        VolumeSlice(
            position,
            to_display_orientation(grays, axis, position),
            None if mask is None else to_display_orientation(mask, axis, position),
        )
        for position in positions.tolist()
    ]


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


def _decompress(content: bytes) -> bytes:
    """Decompress gzip data, at most as much as the largest volume allowed takes."""
    limit = MAX_VOXELS * 8 + 2**20
    with gzip.open(io.BytesIO(content)) as file:
        try:
            decompressed = file.read(limit + 1)
        except (EOFError, zlib.error, OSError) as error:
            raise ValueError(f"corrupted gzip data ({error})") from None
    if len(decompressed) > limit:
        raise ValueError("decompresses to more than the largest volume allowed")
    return decompressed
