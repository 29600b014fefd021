"""Decoding DICOM files to gray images; every rule of the conversion is stated here and in `dicom_frames`.

Of the header, only sex, age, modality, plane and a digest of the patient's id are returned: names and dates are not.
"""

import hashlib
import io
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import (
    JPEG2000,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from brain_tumor.core.types import Floats, Gray, Masks
from brain_tumor.imaging.decode import MAX_FILE_PIXELS, MAX_PIXELS, NoImageError
from brain_tumor.imaging.decoder_process import DECODER
from brain_tumor.imaging.dicom_frames import (
    Frame,
    apply_window,
    count_mosaic_tiles,
    read_frame,
    read_numbers,
    read_plane,
    read_spacing,
    rescale_values,
    split_mosaic,
)
from brain_tumor.imaging.gzip_data import decompress
from brain_tumor.imaging.scaling import find_padding, scale_by_percentiles, to_gray_levels

DEFLATED_TRANSFER_SYNTAX = b"1.2.840.10008.1.2.1.99"
PIXEL_ELEMENTS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
PADDING_ELEMENTS = ("PixelPaddingValue", "PixelPaddingRangeLimit", "FloatPixelPaddingValue")
DECIMAL_ELEMENTS = ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept", "PixelSpacing")
FRAME_SEQUENCES = (
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "FrameVOILUTSequence",
    "PixelValueTransformationSequence", "PixelMeasuresSequence",
)  # fmt: skip
PILLOW_SYNTAXES = (JPEGBaseline8Bit, JPEG2000Lossless, JPEG2000)


class DicomFrame(NamedTuple):
    """One image of a DICOM file.

    Attributes:
        gray: (H, W).
        plane: axial, coronal or sagittal, '' if unknown or oblique.
        spacing: distances between rows and between columns.
    """

    gray: Gray
    plane: str
    spacing: tuple[float, float]


class DicomImage(NamedTuple):
    """The frames of a DICOM file and the patient data in its header, '' where the header has none.

    Attributes:
        frames: the images; the slices of a mosaic are frames.
        patient: digest of the patient's id.
        sex: F, M or O.
        age: age in years.
        warnings: reasons to distrust the images: another modality than MR, numbers with decimal commas.
    """

    frames: list[DicomFrame]
    patient: str
    sex: str
    age: str
    warnings: tuple[str, ...] = ()


def decode_dicom(content: bytes) -> DicomImage:
    """Decode the frames of a DICOM file, which may be compressed with gzip and may lack the preamble.

    Values are rescaled (modality LUT) and windowed by the frame's first window, both by the functional groups of the
    frame in enhanced files. Frames without a window are scaled together by `scaling.scale_by_percentiles`. Padding
    takes no part in it and becomes black, as values do that are not finite: PixelPaddingValue and, without a window or
    in MONOCHROME1, what `scaling.find_padding` finds. MONOCHROME1 is inverted. Color becomes luma.

    Raises:
        NoImageError: the file has no pixels, or is a deflated one.
        ValueError: more than MAX_PIXELS in a frame or more than MAX_FILE_PIXELS in all, or a mosaic
            of unknown size. For broken files pydicom raises other exceptions as well.
    """
    content = decompress(content)
    data = read_dataset(content)
    sex, age = str(data.get("PatientSex") or ""), re.fullmatch(r"0*(\d+)Y", str(data.get("PatientAge") or ""))
    # The digest groups the slices of a patient without revealing the id.
    patient_id = str(data.get("PatientID") or "").strip()
    patient = hashlib.sha256(patient_id.encode()).hexdigest()[:12] if patient_id else ""
    warnings = tuple(_find_warnings(data))  # of the text in the header, before it is converted to numbers
    frames = _decode_frames(data, content)
    sex = sex if sex in ("F", "M", "O") else ""
    return DicomImage(frames, patient, sex, age[1] if age else "", warnings)


def decode_dicom_mask(content: bytes) -> list[Masks]:
    """Decode the frames of a DICOM file as masks, (H, W) each: values above 0 are inside.

    Raises:
        ValueError: see `decode_dicom`.
    """
    content = decompress(content)
    data = read_dataset(content)
    return [frame > 0 for frame in _split_frames(_decode_pixels(data, content), data)]


def read_dataset(content: bytes) -> pydicom.Dataset:
    """Read the elements of a DICOM file that is not compressed as a whole.

    Raises:
        NoImageError, ValueError: see `decode_dicom`.
    """
    if DEFLATED_TRANSFER_SYNTAX in content[:2048]:  # it would be decompressed whole before its size can be checked
        raise NoImageError("a deflated DICOM file, which is not supported: save it without compression")
    data = pydicom.dcmread(io.BytesIO(content), force=True)
    if not any(name in data for name in PIXEL_ELEMENTS):
        meta = getattr(data, "file_meta", None) or {}
        storage = data.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or ""
        if "Rows" in data or "Image Storage" in getattr(storage, "name", ""):
            raise ValueError("a DICOM file that is truncated: its pixels are missing")
        raise NoImageError("a DICOM file without an image")
    if missing := [tag for tag in ("Rows", "Columns") if tag not in data]:
        raise ValueError(f"a DICOM file without the size of its image: {' and '.join(missing)} missing")
    frame_size = int(data.Rows) * int(data.Columns)
    if frame_size > MAX_PIXELS:
        raise ValueError(f"frames of {data.Columns}×{data.Rows} pixels, more than {MAX_PIXELS:,}")
    size = frame_size * int(data.get("NumberOfFrames", 1) or 1)
    if size > MAX_FILE_PIXELS:
        raise ValueError(f"{size:,} pixels, more than {MAX_FILE_PIXELS:,}")
    if not getattr(data, "file_meta", None) or "TransferSyntaxUID" not in data.file_meta:  # no preamble
        implicit, little = data.original_encoding
        syntax = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        data.ensure_file_meta()
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else syntax
    return data


def _decode_pixels(data: pydicom.Dataset, content: bytes) -> NDArray[Any]:
    """Decode the stored values of all frames; other decoders than those of Pillow and pydicom run in another process.

    Raises:
        ValueError: no installed package decodes this compression, or the pixels cannot be decoded.
    """
    syntax = data.file_meta.TransferSyntaxUID
    if not syntax.is_compressed or syntax in (*PILLOW_SYNTAXES, RLELossless):
        return decode_stored_values(data)
    if not get_decoder(syntax).is_available:
        raise ValueError(f"compressed as {syntax.name}, which needs another package: pip install python-gdcm")
    return DECODER.decode(content)


def decode_stored_values(data: pydicom.Dataset) -> NDArray[Any]:
    """Decode the stored values of all frames in this process.

    Pillow decodes what it can, whatever other decoders are installed, so that all machines get the same values.
    """
    if data.file_meta.TransferSyntaxUID in PILLOW_SYNTAXES:
        data.pixel_array_options(decoding_plugin="pillow")
    return np.asarray(data.pixel_array)


def _split_frames(pixels: Floats, data: pydicom.Dataset) -> Floats:
    """Return the pixels of a gray file as frames (N, H, W)."""
    if tiles := count_mosaic_tiles(data):
        return split_mosaic(pixels, tiles)
    return pixels if pixels.ndim == 3 else pixels[None]


def _decode_frames(data: pydicom.Dataset, content: bytes) -> list[DicomFrame]:
    pixels = _decode_pixels(data, content)
    palette = data.PhotometricInterpretation == "PALETTE COLOR"
    if palette or int(data.get("SamplesPerPixel", 1)) == 3:
        grays = _luma_frames(np.asarray(apply_color_lut(pixels, data)) if palette else pixels, data, palette)
        headers = [read_frame(data, number) for number in range(len(grays))]
    else:
        stored = _split_frames(pixels, data)
        headers = [read_frame(data, number) for number in range(len(stored))]
        grays = _gray_frames(stored, headers, data)
    return [
        DicomFrame(gray, read_plane(header) or "", read_spacing(header))
        for gray, header in zip(grays, headers, strict=True)
    ]


def _luma_frames(colors: Floats, data: pydicom.Dataset, palette: bool) -> list[Gray]:
    bits = 8 * colors.itemsize if palette else int(data.BitsStored)
    frames = colors if colors.ndim == 4 else colors[None]
    frames = (frames.astype(np.uint32) >> max(0, bits - 8)).clip(0, 255).astype(np.uint8)
    return [np.asarray(Image.fromarray(frame).convert("L")) for frame in frames]


def _gray_frames(stored: Floats, headers: list[Frame], data: pydicom.Dataset) -> list[Gray]:
    """Convert stored values (N, H, W) to gray images."""
    frames = [rescale_values(frame.astype(np.float64), header) for frame, header in zip(stored, headers, strict=True)]
    inverted = data.PhotometricInterpretation == "MONOCHROME1"
    levels = [apply_window(frame, header.window) for frame, header in zip(frames, headers, strict=True)]
    padding = _find_stated_padding(stored, data)
    for outside, frame, level in zip(padding, frames, levels, strict=True):
        outside |= ~np.isfinite(frame)
        if level is None or inverted:  # a window shows low values as dark as it says, unless it is inverted
            outside |= find_padding(frame)
    without = [number for number, level in enumerate(levels) if level is None]
    if without:
        scaled = scale_by_percentiles(np.stack([frames[number] for number in without]), padding[without])
        for number, level in zip(without, scaled, strict=True):
            levels[number] = level
    grays = []
    for level, outside in zip(levels, padding, strict=True):
        assert level is not None
        gray = to_gray_levels(1 - level if inverted else level)
        gray[outside] = 0
        grays.append(gray)
    return grays


def _find_stated_padding(stored: Floats, data: pydicom.Dataset) -> Masks:
    """Return where stored values are padding, of their shape (PixelPaddingValue, PixelPaddingRangeLimit)."""
    value, limit, float_value = (next(read_numbers(data, name), None) for name in PADDING_ELEMENTS)
    first = float_value if value is None else value
    if first is None:
        return np.zeros(stored.shape, np.bool_)
    last = first if limit is None else limit
    if stored.dtype.kind == "i":  # some programs write the values of signed pixels as unsigned ones
        half = 2 ** (8 * stored.itemsize - 1)
        first, last = (number - 2 * half if number >= half else number for number in (first, last))
    padding: Masks = (stored >= min(first, last)) & (stored <= max(first, last))
    return padding


def _find_warnings(data: pydicom.Dataset) -> list[str]:
    warnings = []
    modality = str(data.get("Modality") or "MR")
    if modality != "MR":
        warnings.append(f"the DICOM header states the modality {modality}, not MR")
    for name, text in dict.fromkeys(_find_decimal_commas(data)):
        warnings.append(f"the DICOM header has {name} {text!r}: the comma is read as decimal point")
    return warnings


def _find_decimal_commas(data: pydicom.Dataset) -> Iterator[tuple[str, str]]:
    """Yield name and text of each number with a comma, also in the functional groups of enhanced files."""
    for name in DECIMAL_ELEMENTS:
        raw = data.get_item(name)
        if raw is not None and isinstance(raw.value, bytes) and b"," in raw.value:
            yield name, raw.value.decode("ascii", "replace").strip()
    for name in FRAME_SEQUENCES:
        for item in data.get(name) or []:
            yield from _find_decimal_commas(item)
