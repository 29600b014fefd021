"""Small DICOM files and volumes."""

import gzip
import io
import tempfile
from pathlib import Path
from typing import Any

import gdcm
import nibabel
import numpy as np
import pydicom
import SimpleITK
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

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


def make_report() -> bytes:
    """Make a DICOM file without pixels: a structured report."""
    data = pydicom.dcmread(io.BytesIO(make_dicom(RAMP)))
    data.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
    for name in ("PixelData", "Rows", "Columns"):
        delattr(data, name)
    buffer = io.BytesIO()
    data.save_as(buffer)
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


def make_enhanced(pixels: NDArray[Any], groups: list[dict[str, Any]], shared: dict[str, Any], **tags: Any) -> bytes:
    """Make a multi-frame file; each group has the elements of one frame."""
    names = {
        "RescaleSlope": "PixelValueTransformationSequence", "RescaleIntercept": "PixelValueTransformationSequence",
        "WindowCenter": "FrameVOILUTSequence", "WindowWidth": "FrameVOILUTSequence",
        "ImageOrientationPatient": "PlaneOrientationSequence", "PixelSpacing": "PixelMeasuresSequence",
    }  # fmt: skip

    def group(elements: dict[str, Any]) -> pydicom.Dataset:
        data = pydicom.Dataset()
        for name, value in elements.items():
            if names[name] not in data:
                setattr(data, names[name], [pydicom.Dataset()])
            setattr(data[names[name]].value[0], name, value)
        return data

    tags |= {"NumberOfFrames": len(pixels), "Rows": pixels.shape[1], "Columns": pixels.shape[2]}
    tags |= {"SharedFunctionalGroupsSequence": [group(shared)]}
    return make_dicom(pixels, PerFrameFunctionalGroupsSequence=[group(one) for one in groups], **tags)


def make_compressed_dicom(pixels: NDArray[Any], syntax: int) -> bytes:
    """Make a DICOM file that GDCM compresses; `syntax` is one of `gdcm.TransferSyntax`."""
    with tempfile.TemporaryDirectory() as folder:
        plain, compressed = Path(folder, "plain"), Path(folder, "compressed")
        plain.write_bytes(make_dicom(pixels))
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(plain))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.SetFileName(str(compressed))
        assert writer.Write()
        return compressed.read_bytes()


def make_itk(values: NDArray[Any], suffix: str, spacing: tuple[float, float, float] = (1.0, 2.0, 3.0)) -> bytes:
    """Make a MetaImage (.mha) or NRRD file of a volume in RAS+ orientation; `spacing` in mm."""
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(values.T), isVector=False)
    if image.GetDimension() == 3:
        image.SetDirection((-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))  # ITK's axes are LPS
        image.SetSpacing(spacing)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"volume{suffix}")
        SimpleITK.WriteImage(image, str(path), useCompression=True)
        return path.read_bytes()
