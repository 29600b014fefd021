"""Small DICOM files and NIfTI volumes."""

import gzip
import io
from typing import Any

import nibabel
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

RAMP = np.arange(1200, dtype=np.int16).reshape(30, 40)


def make_dicom(pixels: NDArray[Any], **tags: Any) -> bytes:
    """Make a DICOM file of one patient; `tags` replaces or adds header elements."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = pixels.shape[-2:]
    data.BitsAllocated = data.BitsStored = pixels.dtype.itemsize * 8
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, int(pixels.dtype.kind == "i")
    data.PixelData = pixels.tobytes()
    data.PatientID, data.PatientName, data.PatientSex, data.PatientAge = "id 17", "Secret^Name", "F", "061Y"
    for name, value in tags.items():
        setattr(data, name, value)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, data)
    return buffer.getvalue()


def make_nifti(values: NDArray[Any], affine: NDArray[Any] | None = None, compress: bool = False) -> bytes:
    """Make a NIfTI file; without an affine matrix its axes are RAS+."""
    content = nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine).to_bytes()
    return gzip.compress(content, mtime=0) if compress else content


def make_body() -> NDArray[np.int16]:
    """Make a volume in RAS+ orientation: a block that is brighter to the right, to anterior and to superior."""
    x, y, z = np.mgrid[:20, :24, :28]
    values = 100 + x + 2 * y + 3 * z
    return np.where((x > 2) & (x < 17) & (y > 2) & (y < 21) & (z > 4) & (z < 23), values, 0).astype(np.int16)
