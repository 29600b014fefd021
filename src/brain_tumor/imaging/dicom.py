"""Decoding DICOM files to gray images; every rule of the conversion is stated here.

Of the header, only sex, age and a digest of the patient's id are returned: names and dates are not.
"""

import hashlib
import io
import re
from typing import Any, NamedTuple

import numpy as np
import pydicom
from PIL import Image
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi

from brain_tumor.core.types import Floats, Gray, Masks
from brain_tumor.imaging.decode import MAX_PIXELS
from brain_tumor.imaging.scaling import clip_percentiles, scale_to_unit

MAX_FILE_PIXELS = 512 * 512 * 512  # of all frames of a file together; windowing them takes about 4 GiB
DEFLATED_TRANSFER_SYNTAX = b"1.2.840.10008.1.2.1.99"


class DicomImage(NamedTuple):
    """The frames of a DICOM file and the patient data in its header, '' where the header has none.

    Attributes:
        frames: gray images, (H, W) each.
        patient: digest of the patient's id.
        sex: F, M or O.
        age: age in years.
    """

    frames: list[Gray]
    patient: str
    sex: str
    age: str


def decode_dicom(content: bytes) -> DicomImage:
    """Decode the frames of a DICOM file.

    Values are rescaled (modality LUT) and then windowed by `apply_window`. MONOCHROME1 is inverted. Color becomes luma.

    Raises:
        ValueError: no image, a deflated file, more than MAX_PIXELS in a frame or more than MAX_FILE_PIXELS in all.
            For broken files pydicom raises other exceptions as well.
    """
    data = _read_dataset(content)
    sex, age = str(data.get("PatientSex") or ""), re.fullmatch(r"0*(\d+)Y", str(data.get("PatientAge") or ""))
    # The digest groups the slices of a patient without revealing the id.
    patient = hashlib.sha256(str(data.PatientID).encode()).hexdigest()[:12] if data.get("PatientID") else ""
    return DicomImage(_gray_frames(data), patient, sex if sex in ("F", "M", "O") else "", age[1] if age else "")


def decode_dicom_mask(content: bytes) -> list[Masks]:
    """Decode the frames of a DICOM file as masks, (H, W) each: values above 0 are inside.

    Raises:
        ValueError: see `decode_dicom`.
    """
    pixels = np.asarray(_read_dataset(content).pixel_array)
    return list((pixels if pixels.ndim == 3 else pixels[None]) > 0)


def _read_dataset(content: bytes) -> pydicom.Dataset:
    if DEFLATED_TRANSFER_SYNTAX in content[:2048]:  # it would be decompressed whole before its size can be checked
        raise ValueError("a deflated DICOM file, which is not supported")
    data = pydicom.dcmread(io.BytesIO(content))
    if missing := [tag for tag in ("Rows", "Columns") if tag not in data]:
        raise ValueError(f"a DICOM file without an image: {' and '.join(missing)} missing")
    frame_size = int(data.Rows) * int(data.Columns)
    if frame_size > MAX_PIXELS:
        raise ValueError(f"frames of {data.Columns}×{data.Rows} pixels, more than {MAX_PIXELS:,}")
    size = frame_size * int(data.get("NumberOfFrames", 1) or 1)
    if size > MAX_FILE_PIXELS:
        raise ValueError(f"{size:,} pixels, more than {MAX_FILE_PIXELS:,}")
    return data


def _gray_frames(data: pydicom.Dataset) -> list[Gray]:
    pixels = np.asarray(data.pixel_array)
    if data.PhotometricInterpretation == "PALETTE COLOR":
        pixels = np.asarray(apply_color_lut(pixels, data))
        bits = 8 * pixels.itemsize
    else:
        bits = int(data.BitsStored)
    if data.PhotometricInterpretation == "PALETTE COLOR" or int(data.get("SamplesPerPixel", 1)) == 3:
        frames = pixels if pixels.ndim == 4 else pixels[None]
        frames = (frames.astype(np.uint32) >> max(0, bits - 8)).clip(0, 255).astype(np.uint8)
        return [np.asarray(Image.fromarray(frame).convert("L")) for frame in frames]
    values = np.asarray(apply_modality_lut(pixels, data), np.float64)
    levels = apply_window(values, data)
    if data.PhotometricInterpretation == "MONOCHROME1":
        levels = 1 - levels
    return list(np.rint(255 * (levels if levels.ndim == 3 else levels[None])).astype(np.uint8))


def apply_window(values: Floats, data: pydicom.Dataset) -> Floats:
    """Scale values of any shape to 0 to 1 by the first window of a DICOM file.

    Without a window, the 0.5th percentile becomes 0 and the 99.8th becomes 1.

    Source: DICOM PS3.3, C.11.2.1 (lookup table, LINEAR, LINEAR_EXACT, SIGMOID).
    """
    if data.get("VOILUTSequence"):
        bits = int(data.VOILUTSequence[0].LUTDescriptor[2])
        levels: Floats = np.asarray(apply_voi(values.astype(np.int64), data, index=0), np.float64)
        return levels / float(2**bits - 1)
    center, width = (_first_number(data.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if center is None or width is None or width <= 0:
        return scale_to_unit(clip_percentiles(values))
    function = str(data.get("VOILUTFunction") or "LINEAR")
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp((-4 * (values - center) / width).clip(-700, 700))))
    if function == "LINEAR":
        center, width = center - 0.5, max(width - 1, 1e-9)
    return np.asarray(np.clip((values - center) / width + 0.5, 0, 1))


def _first_number(value: Any) -> float | None:
    """Return the first number of a DICOM element, None if it is empty."""
    number = value if isinstance(value, (str, float, int)) or value is None else next(iter(value), None)
    return None if number is None or number == "" else float(number)
