"""DICOM files and NIfTI volumes as PNG slices."""

from typing import Any

import numpy as np
import pytest

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.volumes import Volumes, convert_dicom, convert_volume, expand_medical_formats
from brain_tumor.imaging.decode import decode_gray
from brain_tumor.imaging.dicom import decode_dicom
from brain_tumor.imaging.nifti import decode_nifti, take_slices
from clinical_files import RAMP, make_body, make_dicom, make_nifti
from heads import head, png

FRAMES = np.stack([RAMP, RAMP[::-1], RAMP])
SIZE: dict[str, Any] = {"NumberOfFrames": 3, "Rows": 30, "Columns": 40}


def test_convert_dicom_header_fills_empty_metadata() -> None:
    (image,) = convert_dicom(RawImage("a/1.dcm", make_dicom(RAMP), "a"))
    assert (image.path, image.label, image.sex, image.age) == ("a/1.dcm.png", "a", "F", "61")
    assert image.patient == decode_dicom(make_dicom(RAMP)).patient
    assert b"Secret" not in image.content


def test_convert_dicom_metadata_of_the_source_is_kept() -> None:
    (image,) = convert_dicom(RawImage("1", make_dicom(RAMP), "a", patient="p", sex="M", age="7"))
    assert (image.patient, image.sex, image.age) == ("p", "M", "7")


def test_convert_dicom_frames_become_images() -> None:
    content = make_dicom(FRAMES, **SIZE)
    images = convert_dicom(RawImage("m", content, "a", patient="p"))
    assert [image.path for image in images] == ["m.000.png", "m.001.png", "m.002.png"]
    assert {image.patient for image in images} == {"p"}
    for image, gray in zip(images, decode_dicom(content).frames, strict=True):
        assert np.array_equal(decode_gray(image.content), gray)


def test_convert_dicom_mask_frames_belong_to_image_frames() -> None:
    masks = np.zeros((3, 30, 40), np.uint8)
    masks[1, 3:5] = 1
    image = RawImage("m", make_dicom(FRAMES, **SIZE), "a", mask=make_dicom(masks, **SIZE))
    decoded = [decode_gray(frame.mask or b"") for frame in convert_dicom(image)]
    assert np.array_equal(np.stack(decoded), 255 * masks)


def test_expand_medical_formats_mask_frame_mismatch_is_an_error() -> None:
    image = RawImage("m", make_dicom(FRAMES, **SIZE), "a", mask=png(np.ones((30, 40), np.uint8)))
    with pytest.raises(UserError, match="m has 3 frames but its mask has 1: the numbers must match"):
        list(expand_medical_formats([image], Volumes()))


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_convert_volume_slices_are_named_by_plane_and_position(plane: Any, compress: bool) -> None:
    name = "v.nii.gz" if compress else "v.nii"
    content = make_nifti(make_body(), compress=compress)
    images = convert_volume(RawImage(name, content, "a", box="1 2 3 4"), Volumes(plane=plane, count=3))
    slices = take_slices(decode_nifti(content), plane, 3)
    assert [image.path for image in images] == [f"{name}.{plane}-{item.position:03d}.png" for item in slices]
    assert {(image.patient, image.plane, image.box, image.mask) for image in images} == {(name, plane, "", None)}
    for image, item in zip(images, slices, strict=True):
        assert np.array_equal(decode_gray(image.content), item.gray)


def test_convert_volume_selects_masked_slices_with_masks() -> None:
    mask = np.zeros(make_body().shape, np.uint8)
    mask[8:12, 8:14, 9:13] = 1
    image = RawImage("v.nii", make_nifti(make_body()), "a", patient="p", mask=make_nifti(mask))
    images = convert_volume(image, Volumes(count=9))
    assert [image.path for image in images] == [f"v.nii.axial-{z:03d}.png" for z in range(9, 13)]
    assert {image.patient for image in images} == {"p"}
    for image in images:
        assert image.mask is not None
        assert (decode_gray(image.mask) == 255).sum() == 24


def test_convert_volume_empty_mask_is_none() -> None:
    mask = np.zeros(make_body().shape, np.uint8)
    image = RawImage("v.nii", make_nifti(make_body()), "a", mask=make_nifti(mask))
    assert {image.mask for image in convert_volume(image, Volumes())} == {None}


def test_expand_medical_formats_ordinary_image_has_a_binary_mask() -> None:
    image = RawImage("1.png", png(RAMP.astype(np.uint8)), "a", mask=png((RAMP % 3).astype(np.uint8)))
    plain = RawImage("2.png", b"not an image", "a")
    masked, unchanged = expand_medical_formats([image, plain], Volumes())
    assert masked._replace(mask=None) == image._replace(mask=None)
    assert np.array_equal(decode_gray(masked.mask or b""), np.where(RAMP % 3 > 1, 255, 0))
    assert unchanged == plain


def test_expand_medical_formats_unreadable_files_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    broken = [
        RawImage("1.dcm", make_dicom(RAMP)[:400], "a"),
        RawImage("2.nii", make_nifti(make_body())[:500], "a"),
        RawImage("3.nii.gz", make_nifti(make_body(), compress=True)[:-20], "a"),
        RawImage("4.nii", make_nifti(np.zeros((2, 3, 4, 5), np.int16)), "a"),
        RawImage("5.nii", make_nifti(np.full((4, 4, 4), np.nan, np.float32)), "a"),
        RawImage("6.nii", make_nifti(np.ones((4, 4, 4), np.complex64)), "a"),
        RawImage("7.dcm", make_dicom(RAMP).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99", 1), "a"),
    ]
    readable = RawImage("8.png", png(head(1)), "a")
    assert list(expand_medical_formats([*broken, readable], Volumes())) == [*broken, readable]
    for image in broken:
        assert f"{image.path} cannot be read" in caplog.text
    assert "complex64, which are not gray levels" in caplog.text
    assert "a deflated DICOM file" in caplog.text


def test_expand_medical_formats_unreadable_file_loses_its_mask() -> None:
    image = RawImage("2.nii", make_nifti(make_body())[:500], "a", mask=b"mask")
    assert list(expand_medical_formats([image], Volumes())) == [image._replace(mask=None)]
