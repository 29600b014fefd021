"""Decoding DICOM files."""

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain_tumor.imaging import dicom
from brain_tumor.imaging.dicom import decode_dicom, decode_dicom_mask
from clinical_files import RAMP, make_dicom


def decode_pixels(content: bytes, positions: list[int]) -> list[int]:
    (gray,) = decode_dicom(content).frames
    assert gray.dtype == np.uint8
    return [int(value) for value in gray.ravel()[positions]]


def test_decode_dicom_values_are_rescaled_and_windowed() -> None:
    tags = {"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowCenter": 200, "WindowWidth": 400}
    (gray,) = decode_dicom(make_dicom(RAMP, **tags)).frames
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
    assert decode_dicom(content)[1:] == expected


def test_decode_dicom_monochrome1_is_inverted() -> None:
    (plain,) = decode_dicom(make_dicom(RAMP)).frames
    (inverted,) = decode_dicom(make_dicom(RAMP, PhotometricInterpretation="MONOCHROME1")).frames
    assert np.abs(plain.astype(int) + inverted - 255).max() <= 1


def test_decode_dicom_frames_become_images() -> None:
    pixels = np.stack([RAMP, RAMP[::-1], RAMP])
    frames = decode_dicom(make_dicom(pixels, NumberOfFrames=3, Rows=30, Columns=40)).frames
    assert len(frames) == 3
    assert np.array_equal(frames[0][::-1], frames[1])
    assert np.array_equal(frames[0], frames[2])


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
    (gray,) = decode_dicom(make_dicom(pixels, Rows=30, Columns=40, **tags)).frames
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
    content = bytes(128) + b"DICM" + make_dicom(RAMP)[132:200]
    with pytest.raises(ValueError, match="without an image: Rows and Columns missing"):
        decode_dicom(content)


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
    monkeypatch.setattr(dicom, "_gray_frames", lambda data: pytest.fail("decoded"))
    with pytest.raises(ValueError, match=message):
        decode_dicom(make_dicom(RAMP, **tags))
