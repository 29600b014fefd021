"""Decoding DICOM files."""

import gzip
import io
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import gdcm
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from brain_tumor.core.types import Gray
from brain_tumor.imaging import decoder_process, dicom
from brain_tumor.imaging.decode import NoImageError
from brain_tumor.imaging.decoder_process import DECODER, DecoderProcess
from brain_tumor.imaging.dicom import decode_dicom, decode_dicom_mask
from brain_tumor.imaging.formats import identify
from clinical_files import RAMP, make_compressed_dicom, make_dicom, make_enhanced, make_report


def only_gray(content: bytes) -> Gray:
    (frame,) = decode_dicom(content).frames
    return frame.gray


def decode_pixels(content: bytes, positions: list[int]) -> list[int]:
    gray = only_gray(content)
    assert gray.dtype == np.uint8
    return [int(value) for value in gray.ravel()[positions]]


def test_decode_dicom_values_are_rescaled_and_windowed() -> None:
    tags = {"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowCenter": 200, "WindowWidth": 400}
    gray = only_gray(make_dicom(RAMP, **tags))
    expected = np.clip((2.0 * RAMP - 1000) / 400, 0, 1) * 255
    assert gray.shape == RAMP.shape
    assert np.abs(gray - expected).max() <= 1.5


def test_decode_dicom_patient_is_a_digest_with_sex_and_age() -> None:
    image = decode_dicom(make_dicom(RAMP))
    assert (image.sex, image.age) == ("F", "61")
    assert len(image.patient) == 12
    assert image.patient == decode_dicom(make_dicom(RAMP + 1)).patient
    assert image.patient != decode_dicom(make_dicom(RAMP, PatientID="id 18")).patient
    assert "Secret" not in str(image[1:])
    assert "17" not in image.patient[:2]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"PatientID": "", "PatientSex": "", "PatientAge": ""}, ("", "", "")),
        ({"PatientID": "", "PatientSex": "unknown", "PatientAge": "018M"}, ("", "", "")),
        ({"PatientID": "", "PatientSex": "O", "PatientAge": "000Y"}, ("", "O", "0")),
    ],
)
def test_decode_dicom_unusable_patient_data_is_empty(tags: dict[str, Any], expected: tuple[str, str, str]) -> None:
    with pytest.warns(UserWarning, match="Invalid value") if tags["PatientSex"] == "unknown" else nullcontext():
        content = make_dicom(RAMP, **tags)
    assert decode_dicom(content)[1:4] == expected


def test_decode_dicom_monochrome1_is_inverted() -> None:
    plain = only_gray(make_dicom(RAMP))
    inverted = only_gray(make_dicom(RAMP, PhotometricInterpretation="MONOCHROME1"))
    assert np.abs(plain.astype(int) + inverted - 255).max() <= 1


def test_decode_dicom_frames_become_images() -> None:
    pixels = np.stack([RAMP, RAMP[::-1], RAMP])
    frames = decode_dicom(make_dicom(pixels, NumberOfFrames=3, Rows=30, Columns=40)).frames
    assert len(frames) == 3
    assert np.array_equal(frames[0].gray[::-1], frames[1].gray)
    assert np.array_equal(frames[0].gray, frames[2].gray)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        # Values 0 to 1199 fill only a part of this window, and are not stretched.
        ({"WindowCenter": 2000, "WindowWidth": 4000}, [0, 19, 38, 57, 76]),
        (
            {"WindowCenter": [2000, 50], "WindowWidth": [4000, 10], "VOILUTFunction": "LINEAR_EXACT"},
            [0, 19, 38, 57, 76],
        ),
        ({"WindowCenter": 600, "WindowWidth": 1200, "VOILUTFunction": "SIGMOID"}, [30, 69, 127, 186, 225]),
        ({"WindowCenter": "", "WindowWidth": ""}, [0, 63, 127, 191, 255]),
        ({"WindowCenter": 5}, [0, 63, 127, 191, 255]),
    ],
)
def test_apply_window_follows_the_header(tags: dict[str, Any], expected: list[int]) -> None:
    pixels = decode_pixels(make_dicom(RAMP, **tags), [0, 300, 600, 900, 1199])
    assert np.abs(np.subtract(pixels, expected)).max() <= 2


@given(st.floats(-500, 2000), st.floats(0.5, 4000), st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]))
def test_apply_window_any_window_keeps_the_order_of_values(center: float, width: float, function: str) -> None:
    tags = {"WindowCenter": f"{center:.6g}", "WindowWidth": f"{width:.6g}", "VOILUTFunction": function}
    pixels = decode_pixels(make_dicom(RAMP, **tags), list(range(1200)))
    assert (np.diff(pixels) >= 0).all()


def test_decode_dicom_color_of_16_bits_becomes_luma() -> None:
    pixels = np.repeat(np.linspace(0, 65535, 1200).astype(np.uint16).reshape(30, 40, 1), 3, 2)
    tags: dict[str, Any] = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    gray = only_gray(make_dicom(pixels, Rows=30, Columns=40, **tags))
    assert np.abs(gray.ravel().astype(int) - np.linspace(0, 255, 1200)).max() <= 1.5


def test_decode_dicom_palette_becomes_luma() -> None:
    table = np.linspace(65535, 0, 256).astype(np.uint16).tobytes()
    tags: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for color in ("Red", "Green", "Blue"):
        tags |= {f"{color}PaletteColorLookupTableDescriptor": [256, 0, 16]}
        tags |= {f"{color}PaletteColorLookupTableData": table}
    content = make_dicom(np.arange(256, dtype=np.uint8).reshape(16, 16), **tags)
    assert decode_pixels(content, [0, 255]) == [255, 0]


def test_decode_dicom_mask_values_above_0_are_inside() -> None:
    masks = np.zeros((2, 30, 40), np.uint8)
    masks[1, 3:5] = 1
    frames = decode_dicom_mask(make_dicom(masks, NumberOfFrames=2, Rows=30, Columns=40))
    assert np.array_equal(np.stack(frames), masks > 0)
    (single,) = decode_dicom_mask(make_dicom(masks[1]))
    assert np.array_equal(single, masks[1] > 0)


def test_decode_dicom_deflated_file_is_rejected() -> None:
    content = make_dicom(RAMP).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99", 1)
    with pytest.raises(ValueError, match="a deflated DICOM file"):
        decode_dicom(content)


def test_decode_dicom_without_an_image_is_rejected() -> None:
    with pytest.raises(NoImageError, match="a DICOM file without an image"):
        decode_dicom(make_report())
    with pytest.raises(ValueError, match="truncated: its pixels are missing"):
        decode_dicom(make_dicom(RAMP)[:400])


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"Rows": 8001, "Columns": 8000}, "frames of 8000×8001 pixels, more than 64,000,000"),
        ({"Rows": 8000, "Columns": 8000, "NumberOfFrames": 3}, "192,000,000 pixels, more than 134,217,728"),
    ],
)
def test_decode_dicom_too_many_pixels_are_rejected_before_decoding(
    tags: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicom, "_gray_frames", lambda *args: pytest.fail("decoded"))
    with pytest.raises(ValueError, match=message):
        decode_dicom(make_dicom(RAMP, **tags))


def test_decode_dicom_functional_groups_of_each_frame_are_applied() -> None:
    values = RAMP.astype(np.uint16) // 10 * 10
    groups: list[dict[str, Any]] = [
        {"RescaleSlope": 1, "RescaleIntercept": 0},
        {"RescaleSlope": 10, "RescaleIntercept": 0},
        {"RescaleSlope": 1, "RescaleIntercept": 0, "WindowCenter": 300, "WindowWidth": 600},
    ]
    window = {"WindowCenter": 600, "WindowWidth": 1200}
    content = make_enhanced(np.stack([values, values // 10, values]), groups, window, RescaleSlope=7)
    first, tenth, own_window = (frame.gray.astype(int) for frame in decode_dicom(content).frames)
    assert np.array_equal(first, only_gray(make_dicom(values, **window)))
    assert np.array_equal(first, tenth)
    assert np.array_equal(own_window, only_gray(make_dicom(values, WindowCenter=300, WindowWidth=600)))


def test_decode_dicom_plane_and_spacing_are_those_of_the_frame() -> None:
    groups: list[dict[str, Any]] = [
        {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [1, 1]},
        {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1], "PixelSpacing": [2, 1]},
        {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1], "PixelSpacing": [1, 1]},
        {"ImageOrientationPatient": [0.7071, 0.7071, 0, 0, 0, -1], "PixelSpacing": [1, 1]},
        {},
    ]
    frames = decode_dicom(make_enhanced(np.stack([RAMP] * 5), groups, {"PixelSpacing": [3, 4]})).frames
    assert [frame.plane for frame in frames] == ["axial", "coronal", "sagittal", "", ""]
    assert [frame.spacing for frame in frames] == [(1, 1), (2, 1), (1, 1), (1, 1), (3, 4)]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("limit", [None, -1990])
def test_decode_dicom_padding_takes_no_part_and_is_black(photometric: str, limit: int | None) -> None:
    tags: dict[str, Any] = {"PhotometricInterpretation": photometric}
    padded = RAMP.copy()
    padded[:, :10] = -2000
    expected = only_gray(make_dicom(np.ascontiguousarray(padded[:, 10:]), **tags))
    if limit is not None:
        padded[0, :5], tags["PixelPaddingRangeLimit"] = limit, limit
    gray = only_gray(make_dicom(padded, PixelPaddingValue=-2000, **tags))
    assert gray[:, :10].max() == 0
    assert np.array_equal(gray[:, 10:], expected)


def test_decode_dicom_padding_that_is_not_declared_is_found_by_its_distance() -> None:
    padded = RAMP.copy()
    padded[:, :10] = -2000
    assert np.array_equal(only_gray(make_dicom(padded))[:, 10:], only_gray(make_dicom(RAMP[:, 10:].copy())))


@pytest.mark.parametrize("center", [b"711,5 ", b"711.5 "])
def test_decode_dicom_comma_is_read_as_decimal_point(center: bytes) -> None:
    content = make_dicom(RAMP, WindowCenter="711.5", WindowWidth="1422")
    image = decode_dicom(content.replace(b"711.5 ", center))
    assert np.array_equal(image.frames[0].gray, only_gray(content))
    assert len(image.warnings) == (b"," in center)
    assert all("WindowCenter '711,5'" in warning for warning in image.warnings)


def test_decode_dicom_window_that_is_no_number_is_ignored() -> None:
    content = make_dicom(RAMP, WindowCenter="711.5", WindowWidth="1422")
    gray = only_gray(content.replace(b"711.5 ", b"middle"))
    assert np.array_equal(gray, only_gray(make_dicom(RAMP)))


@pytest.mark.parametrize("count", [7, 9])
def test_decode_dicom_mosaic_becomes_its_slices(count: int) -> None:
    slices = np.stack([RAMP + 10 * n for n in range(9)])
    slices[count:] = 0
    mosaic = slices.reshape(3, 3, 30, 40).swapaxes(1, 2).reshape(90, 120)
    tags: dict[str, Any] = {"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}
    window: dict[str, Any] = {"WindowCenter": 600, "WindowWidth": 1200}
    data = pydicom.dcmread(io.BytesIO(make_dicom(mosaic, **tags, **window)))
    with pytest.raises(ValueError, match="does not state its number of slices"):
        decode_dicom(make_dicom(mosaic, **tags))
    data.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", count)
    buffer = io.BytesIO()
    data.save_as(buffer)
    frames = decode_dicom(buffer.getvalue()).frames
    assert len(frames) == count
    for frame, one in zip(frames, slices, strict=False):
        assert np.array_equal(frame.gray, only_gray(make_dicom(one, **window)))


def test_decode_dicom_other_modality_is_a_warning() -> None:
    assert decode_dicom(make_dicom(RAMP, Modality="MR")).warnings == ()
    assert decode_dicom(make_dicom(RAMP)).warnings == ()
    assert decode_dicom(make_dicom(RAMP, Modality="CT")).warnings == (
        "the DICOM header states the modality CT, not MR",
    )


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("start", [0, 128, 132])
def test_decode_dicom_file_without_preamble_is_read(syntax: Any, start: int) -> None:
    data = pydicom.dcmread(io.BytesIO(make_dicom(RAMP)))
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID
    data.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        data.PixelData = RAMP.astype(">i2").tobytes()
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, data, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
    content = buffer.getvalue()
    if start == 128:
        content = content[132:]  # file meta information, but no preamble
    elif start == 132:
        buffer = io.BytesIO()
        del data.file_meta
        data.preamble = None
        pydicom.dcmwrite(buffer, data, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
        content = buffer.getvalue()
    assert identify(content, "MR000001").kind == "dicom"
    assert np.array_equal(only_gray(content), only_gray(make_dicom(RAMP)))
    assert np.array_equal(only_gray(gzip.compress(content)), only_gray(content))


def test_decode_dicom_floating_point_pixels_are_read() -> None:
    data = pydicom.dcmread(io.BytesIO(make_dicom(RAMP)))
    for name in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(data, name)
    data.BitsAllocated, data.FloatPixelData = 32, (RAMP / 7).astype(np.float32).tobytes()
    buffer = io.BytesIO()
    data.save_as(buffer)
    assert np.array_equal(only_gray(buffer.getvalue()), only_gray(make_dicom(RAMP)))


COMPRESSED = {
    JPEGBaseline8Bit: gdcm.TransferSyntax.JPEGBaselineProcess1,
    JPEGLossless: gdcm.TransferSyntax.JPEGLosslessProcess14,
    JPEGLosslessSV1: gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    JPEGLSLossless: gdcm.TransferSyntax.JPEGLSLossless,
    JPEG2000Lossless: gdcm.TransferSyntax.JPEG2000Lossless,
    RLELossless: gdcm.TransferSyntax.RLELossless,
}


@pytest.mark.parametrize("syntax", COMPRESSED)
def test_decode_dicom_transfer_syntax_gives_the_same_values(syntax: Any) -> None:
    pixels = RAMP.astype(np.uint16) if syntax != JPEGBaseline8Bit else (RAMP // 5).astype(np.uint8)
    content = make_compressed_dicom(pixels, COMPRESSED[syntax])
    plain = make_dicom(pixels)
    assert pydicom.dcmread(io.BytesIO(content)).file_meta.TransferSyntaxUID == syntax
    difference = only_gray(content).astype(int) - only_gray(plain)
    assert np.abs(difference).max() <= (6 if syntax == JPEGBaseline8Bit else 0)


def test_decode_dicom_missing_decoder_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pydicom.dcmread(io.BytesIO(make_dicom(RAMP)))
    data.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    data.PixelData = pydicom.encaps.encapsulate([b"1234"])
    data["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    data.save_as(buffer)
    content = buffer.getvalue()
    monkeypatch.setattr(dicom, "get_decoder", lambda syntax: SimpleNamespace(is_available=False))
    with pytest.raises(ValueError, match=r"compressed as JPEG Lossless.*pip install python-gdcm"):
        decode_dicom(content)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("window", [{}, {"WindowCenter": 1000, "WindowWidth": 2000}])
@pytest.mark.parametrize("tags", [{}, {"PixelPaddingValue": -32768}, {"PixelPaddingValue": 32768}])
def test_decode_dicom_padding_is_black_whether_stated_or_not(photometric: str, window: Any, tags: Any) -> None:
    pixels = RAMP.copy()
    pixels[:, :3] = -32768
    data = pydicom.dcmread(io.BytesIO(make_dicom(pixels, PhotometricInterpretation=photometric, **window)))
    if tags:
        kind = "US" if tags["PixelPaddingValue"] > 0 else "SS"
        data.add_new("PixelPaddingValue", kind, tags["PixelPaddingValue"])
    buffer = io.BytesIO()
    data.save_as(buffer)
    gray = only_gray(buffer.getvalue())
    assert gray[:, :3].max() == 0
    plain = only_gray(make_dicom(RAMP[:, 3:], PhotometricInterpretation=photometric, **window))
    assert np.abs(gray[:, 3:].astype(int) - plain).max() <= 1


def test_decode_dicom_padding_above_all_values_leaves_their_contrast() -> None:
    pixels = RAMP.copy()
    pixels[:2, :5] = 32767
    assert np.percentile(only_gray(make_dicom(pixels))[2:], 99) > 200


def test_decode_dicom_comma_in_the_groups_of_a_frame_is_a_warning() -> None:
    data = pydicom.dcmread(io.BytesIO(make_enhanced(np.stack([RAMP, RAMP]), [{}, {}], {})))
    window, measures = pydicom.Dataset(), pydicom.Dataset()
    for dataset, name, text in ((window, "WindowCenter", b"500,5 "), (measures, "PixelSpacing", b"0,5\\0,5 ")):
        tag = pydicom.tag.Tag(name)
        dataset[tag] = pydicom.dataelem.RawDataElement(tag, "DS", len(text), text, 0, False, True)
    data.PerFrameFunctionalGroupsSequence[0].FrameVOILUTSequence = [window]
    data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = [measures]
    buffer = io.BytesIO()
    data.save_as(buffer)
    warnings = decode_dicom(buffer.getvalue()).warnings
    assert [warning for warning in warnings if "comma" in warning] == [
        "the DICOM header has PixelSpacing '0,5\\\\0,5': the comma is read as decimal point",
        "the DICOM header has WindowCenter '500,5': the comma is read as decimal point",
    ]


def test_decode_dicom_window_shows_low_values_as_it_says() -> None:
    few = np.resize(np.arange(-2, 3, dtype=np.int16), (20, 30))
    gray = only_gray(make_dicom(few, WindowCenter=0, WindowWidth=400))
    assert np.abs(gray.astype(int) - 127).max() <= 2
    air = np.where(np.median(RAMP) > RAMP, -1000, RAMP).astype(np.int16)
    gray = only_gray(make_dicom(air, WindowCenter=-600, WindowWidth=1500))
    assert np.abs(gray[air == -1000].astype(int) - 60).max() <= 1


def test_decode_dicom_decoder_that_stops_is_an_error_and_the_next_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    content = make_compressed_dicom(RAMP, gdcm.TransferSyntax.JPEGLosslessProcess14_1)
    expected = only_gray(content)
    process = DECODER._process
    assert process is not None
    process.kill()
    process.wait()
    assert np.array_equal(only_gray(content), expected), "a new process is started"
    monkeypatch.setattr(decoder_process, "TIMEOUT_SECONDS", 0.0)
    with pytest.raises(ValueError, match="damaged: the decoder of its pixels stopped"):
        DecoderProcess().decode(content)
    monkeypatch.undo()
    assert np.array_equal(only_gray(content), expected)
