"""Decoding NIfTI-1, NIfTI-2 and Analyze files."""

from typing import Any

import nibabel
import numpy as np

from brain_tumor.imaging.gzip_data import decompress
from brain_tumor.imaging.volumes import Volume, select_first_volume

HEADER_BYTES, SINGLE_FILE_OFFSET = 348, 352  # of NIfTI-1: header, and start of the voxels in a single file
ANALYZE_OFFSET = slice(108, 112)  # of NIfTI-1: position of the start of the voxels (float32)
PAIR_MAGIC, SINGLE_MAGIC = b"ni1\0", b"n+1\0"
MAGIC = slice(344, 348)
NO_ORIENTATION = "states no orientation (neither sform nor qform): left and right may be exchanged"


def decode_nifti(content: bytes) -> Volume:
    """Decode a NIfTI file, compressed or not.

    Args:
        content: the file; for a pair of files, see `join_nifti_pair`.

    Returns:
        The volume, its axes reordered and flipped to the nearest RAS+ orientation. Of several volumes (time points,
        contrasts), the first one.

    Raises:
        ValueError: not a volume of at most MAX_VOXELS, or voxels that are not gray levels. For broken files nibabel
            raises other exceptions as well.
    """
    content = decompress(content)
    kind = nibabel.Nifti2Image if content[4:8] in (b"n+2\0", b"ni2\0") else nibabel.Nifti1Image
    image: Any = kind.from_bytes(content)
    if image.get_data_dtype().kind not in "biuf":
        raise ValueError(f"voxels of the type {image.get_data_dtype()}, which are not gray levels")
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
    """Join the two files of a NIfTI-1 or Analyze pair (`.hdr` and `.img`, compressed or not) to a single file.

    Raises:
        ValueError: a header that is too short, or corrupted gzip data.
    """
    header, voxels = decompress(header), decompress(voxels)
    if len(header) < HEADER_BYTES:
        raise ValueError(f"a header of {len(header)} bytes instead of {HEADER_BYTES}")
    order = "<f4" if header[:4] == HEADER_BYTES.to_bytes(4, "little") else ">f4"
    start = int(np.nan_to_num(np.frombuffer(header[ANALYZE_OFFSET], order))[0].clip(0, len(voxels)))
    single = bytearray(header[:HEADER_BYTES])
    single[ANALYZE_OFFSET] = np.array([SINGLE_FILE_OFFSET], order).tobytes()
    single[MAGIC] = SINGLE_MAGIC
    return bytes(single) + bytes(SINGLE_FILE_OFFSET - HEADER_BYTES) + voxels[start:]


def _usable(spacing: tuple[float, ...]) -> tuple[float, float, float]:
    """Return three voxel sizes, all 1 if the header states none."""
    if len(spacing) != 3 or not all(np.isfinite(size) and size > 0 for size in spacing):
        return (1.0, 1.0, 1.0)
    return spacing[0], spacing[1], spacing[2]
