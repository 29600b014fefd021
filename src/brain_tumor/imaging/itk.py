"""Decoding MetaImage (.mha) and NRRD files with SimpleITK, which is an optional dependency."""

import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from brain_tumor.imaging.decode import NoImageError
from brain_tumor.imaging.formats import OTHER_NRRD_FILE
from brain_tumor.imaging.gzip_data import MAX_DECOMPRESSED_BYTES
from brain_tumor.imaging.volumes import MAX_VOXELS, Volume, select_first_volume

HEADER_BYTES = 2**16  # of text before the voxels; longer headers are rejected
# A header can name another file that holds the voxels; none is ever opened.
LOCAL_VOXELS = re.compile(rb"^ElementDataFile\s*=\s*LOCAL\s*$", re.MULTILINE)


def decode_itk(content: bytes) -> Volume:
    """Decode a MetaImage or NRRD file with header and voxels in one file.

    Returns:
        The volume in RAS+ orientation; of several volumes, the first one.

    Raises:
        NoImageError: voxels with several components.
        ValueError: SimpleITK is not installed, voxels in another file, more than MAX_VOXELS, or a broken file.
    """
    try:
        import SimpleITK
    except ImportError:
        raise ValueError("MetaImage and NRRD files need SimpleITK: pip install SimpleITK") from None
    suffix = ".nrrd" if content.startswith(b"NRRD") else ".mha"
    header = content[:HEADER_BYTES]
    if (suffix == ".mha" and not LOCAL_VOXELS.search(header)) or (suffix == ".nrrd" and OTHER_NRRD_FILE.search(header)):
        raise ValueError("the header names another file with the voxels: save both as one file")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"volume{suffix}"
        path.write_bytes(content)
        reader: Any = SimpleITK.ImageFileReader()
        reader.SetFileName(str(path))
        try:
            reader.ReadImageInformation()
            size = reader.GetSize()
            _, warnings = select_first_volume(size)
            if reader.GetNumberOfComponents() != 1:
                raise NoImageError("voxels with several components, which are not gray levels")
            if int(np.prod(size, dtype=np.int64)) * 8 > MAX_DECOMPRESSED_BYTES:
                raise ValueError(f"the shape {size} is not that of a volume of at most {MAX_VOXELS:,} voxels")
            image = reader.Execute()
        except RuntimeError as error:
            raise ValueError(f"a broken file ({str(error).strip().splitlines()[-1]})") from None
    if image.GetDimension() == 4:
        image = image[:, :, :, 0]
    if image.GetDimension() == 3:
        # ITK's axes grow to the left and to posterior (LPS); DICOMOrient reorders and flips them.
        image = SimpleITK.DICOMOrient(image, "RAS")
    values = SimpleITK.GetArrayFromImage(image).T.astype(np.float64)
    spacing = (*image.GetSpacing(), 1.0)
    return Volume(values[..., None] if values.ndim == 2 else values, (spacing[0], spacing[1], spacing[2]), warnings)
