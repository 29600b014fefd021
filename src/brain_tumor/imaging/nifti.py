"""Decoding NIfTI-1, NIfTI-2 and Analyze files."""

from typing import Any, NamedTuple

import nibabel
import numpy as np

from brain_tumor.imaging.decode import NoImageError
from brain_tumor.imaging.gzip_data import decompress
from brain_tumor.imaging.volumes import Volume, select_first_volume

EXTENSION_BYTES = 4  # between the header and the voxels of a single file


class _Layout(NamedTuple):
    """Where a header says where the voxels begin, and that they are in the same file."""

    offset: slice
    offset_type: str
    magic: slice
    single_file: bytes


LAYOUTS = {  # by the size of the header, which it states first
    348: _Layout(slice(108, 112), "f4", slice(344, 348), b"n+1\0"),  # NIfTI-1 and Analyze
    540: _Layout(slice(168, 176), "i8", slice(4, 12), b"n+2\0\r\n\x1a\n"),  # NIfTI-2
}
NO_ORIENTATION = "states no orientation (neither sform nor qform): left and right may be exchanged"


def decode_nifti(content: bytes) -> Volume:
    """Decode a NIfTI file, compressed or not.

    Args:
        content: the file; for a pair of files, see `join_nifti_pair`.

    Returns:
        The volume, its axes reordered and flipped to the nearest RAS+ orientation. Of several volumes (time points,
        contrasts), the first one.

    Raises:
        NoImageError: voxels that are not gray levels.
        ValueError: not a volume of at most MAX_VOXELS. For broken files nibabel raises other exceptions as well.
    """
    content = decompress(content)
    kind = nibabel.Nifti2Image if content[4:8] in (b"n+2\0", b"ni2\0") else nibabel.Nifti1Image
    image: Any = kind.from_bytes(content)
    if image.get_data_dtype().kind not in "biuf":
        raise NoImageError(f"a volume of the type {image.get_data_dtype()}, whose voxels are not gray levels")
    index, warnings = select_first_volume(image.shape)
    # The file's proxy reads only what is indexed, but does not add an axis.
    values = np.asarray(image.dataobj[tuple(part for part in index if part is not None)], np.float64)
    values = values[..., None] if values.ndim == 2 else values
    if not image.header["sform_code"] and not image.header["qform_code"]:
        warnings += (NO_ORIENTATION,)
    canonical = nibabel.as_closest_canonical(nibabel.Nifti1Image(values, image.affine))
    spacing = tuple(float(size) for size in canonical.header.get_zooms()[:3])
    return Volume(np.asarray(canonical.dataobj, np.float64), _usable(spacing), warnings)


def join_nifti_pair(header: bytes, voxels: bytes) -> bytes:
    """Join the two files of a NIfTI-1, NIfTI-2 or Analyze pair (`.hdr`, `.img`, compressed or not) to a single file.

    Raises:
        ValueError: a header of another size, or corrupted gzip data.
    """
    header, voxels = decompress(header), decompress(voxels)
    sizes = {order: int(np.frombuffer(header[:4].ljust(4), f"{order}i4")[0]) for order in "<>"}
    order = next((order for order, size in sizes.items() if size in LAYOUTS), None)
    if order is None or len(header) < sizes[order]:
        raise ValueError(f"{len(header)} bytes that are not a header of {' or '.join(map(str, LAYOUTS))} bytes")
    size, layout = sizes[order], LAYOUTS[sizes[order]]
    stated = np.frombuffer(header[layout.offset], order + layout.offset_type)[0]
    start = int(np.nan_to_num(stated).clip(0, len(voxels)))
    single = bytearray(header[:size])
    single[layout.offset] = np.array([size + EXTENSION_BYTES], order + layout.offset_type).tobytes()
    single[layout.magic] = layout.single_file
    return bytes(single) + bytes(EXTENSION_BYTES) + voxels[start:]


def _usable(spacing: tuple[float, ...]) -> tuple[float, float, float]:
    """Return three voxel sizes, all 1 if the header states none."""
    if len(spacing) != 3 or not all(np.isfinite(size) and size > 0 for size in spacing):
        return (1.0, 1.0, 1.0)
    return spacing[0], spacing[1], spacing[2]
