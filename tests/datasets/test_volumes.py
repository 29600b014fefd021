"""DICOM files and NIfTI volumes as PNG slices."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.volumes import Volumes, expand_medical_formats
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.imaging.boxes import bounding_box, parse_boxes
from brain_tumor.imaging.decode import decode_gray
from brain_tumor.imaging.dicom import decode_dicom
from brain_tumor.imaging.nifti import decode_nifti
from brain_tumor.imaging.volumes import take_slices
from clinical_files import RAMP, make_body, make_dicom, make_nifti, make_report
from heads import head, png

FRAMES = np.stack([RAMP, RAMP[::-1], RAMP])
SIZE: dict[str, Any] = {"NumberOfFrames": 3, "Rows": 30, "Columns": 40}


def convert(image: RawImage, volumes: Volumes | None = None, skipped: SkippedFiles | None = None) -> list[RawImage]:
    return list(expand_medical_formats([image], volumes or Volumes(), skipped or SkippedFiles()))


def test_convert_dicom_header_fills_empty_metadata() -> None:
    (image,) = convert(RawImage("a/1.dcm", make_dicom(RAMP), "a"))
    assert (image.path, image.label, image.sex, image.age) == ("a/1.dcm.png", "a", "F", "61")
    assert image.patient == decode_dicom(make_dicom(RAMP)).patient
    assert b"Secret" not in image.content


def test_convert_dicom_metadata_of_the_source_is_kept() -> None:
    (image,) = convert(RawImage("1", make_dicom(RAMP), "a", patient="p", sex="M", age="7"))
    assert (image.patient, image.sex, image.age) == ("p", "M", "7")


def test_convert_dicom_frames_become_images() -> None:
    content = make_dicom(FRAMES, **SIZE)
    images = convert(RawImage("m", content, "a", patient="p"))
    assert [image.path for image in images] == ["m.000.png", "m.001.png", "m.002.png"]
    assert {image.patient for image in images} == {"p"}
    for image, gray in zip(images, decode_dicom(content).frames, strict=True):
        assert np.array_equal(decode_gray(image.content), gray.gray)


def test_convert_dicom_mask_frames_belong_to_image_frames() -> None:
    masks = np.zeros((3, 30, 40), np.uint8)
    masks[1, 3:5] = 1
    image = RawImage("m", make_dicom(FRAMES, **SIZE), "a", mask=make_dicom(masks, **SIZE))
    decoded = [decode_gray(frame.mask or b"") for frame in convert(image)]
    assert np.array_equal(np.stack(decoded), 255 * masks)


def test_expand_medical_formats_mask_frame_mismatch_is_an_error() -> None:
    image = RawImage("m", make_dicom(FRAMES, **SIZE), "a", mask=png(np.ones((30, 40), np.uint8)))
    with pytest.raises(UserError, match="m has 3 images but its mask has 1: the numbers must match"):
        convert(image)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_convert_volume_slices_are_named_by_plane_and_position(plane: Any, compress: bool) -> None:
    name = "v.nii.gz" if compress else "v.nii"
    content = make_nifti(make_body(), compress=compress)
    images = convert(RawImage(name, content, "a", box="1 2 3 4"), Volumes(plane=plane, count=3))
    slices = take_slices(decode_nifti(content), plane, 3)
    assert [image.path for image in images] == [f"{name}.{plane}-{item.position:03d}.png" for item in slices]
    assert {(image.patient, image.plane, image.box, image.mask) for image in images} == {(name, plane, "", None)}
    for image, item in zip(images, slices, strict=True):
        assert np.array_equal(decode_gray(image.content), item.gray)


def test_convert_volume_selects_masked_slices_with_masks() -> None:
    mask = np.zeros(make_body().shape, np.uint8)
    mask[8:12, 8:14, 9:13] = 1
    image = RawImage("v.nii", make_nifti(make_body()), "a", patient="p", mask=make_nifti(mask))
    images = convert(image, Volumes(count=9))
    assert [image.path for image in images] == [f"v.nii.axial-{z:03d}.png" for z in range(9, 13)]
    assert {image.patient for image in images} == {"p"}
    for image in images:
        assert image.mask is not None
        assert (decode_gray(image.mask) == 255).sum() == 24


def test_convert_volume_empty_mask_is_none() -> None:
    mask = np.zeros(make_body().shape, np.uint8)
    image = RawImage("v.nii", make_nifti(make_body()), "a", mask=make_nifti(mask))
    assert {image.mask for image in convert(image, Volumes())} == {None}


def test_expand_medical_formats_ordinary_image_has_a_binary_mask() -> None:
    image = RawImage("1.png", png(RAMP.astype(np.uint8)), "a", mask=png((RAMP % 3).astype(np.uint8)))
    plain = RawImage("2.png", b"not an image", "a")
    masked, unchanged = expand_medical_formats([image, plain], Volumes(), SkippedFiles())
    assert masked._replace(mask=None) == image._replace(mask=None)
    assert np.array_equal(decode_gray(masked.mask or b""), np.where(RAMP % 3 > 0, 255, 0))
    assert unchanged == plain


def test_expand_medical_formats_unreadable_files_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    broken = [
        RawImage("1.dcm", make_dicom(RAMP)[:400], "a"),
        RawImage("2.nii", make_nifti(make_body())[:500], "a"),
        RawImage("3.nii.gz", make_nifti(make_body(), compress=True)[:-20], "a"),
        RawImage("5.nii", make_nifti(np.full((4, 4, 4), np.nan, np.float32)), "a"),
    ]
    readable = RawImage("8.png", png(head(1)), "a")
    assert list(expand_medical_formats([*broken, readable], Volumes(), SkippedFiles())) == [*broken, readable]
    for image in broken:
        assert f"{image.path} cannot be read" in caplog.text


def test_expand_medical_formats_unsupported_kinds_are_skipped_with_the_reason() -> None:
    colors = np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    files = {
        "1.nii": (make_nifti(np.ones((4, 4, 4), np.complex64)), "complex64"),
        "2.nii": (make_nifti(colors), "not gray levels"),
        "3.dcm": (make_dicom(RAMP).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99", 1), "a deflated DICOM"),
    }
    for name, (content, reason) in files.items():
        skipped = SkippedFiles()
        assert convert(RawImage(name, content, "a"), skipped=skipped) == []
        assert reason in skipped.reason(name)


def test_expand_medical_formats_unreadable_file_loses_its_mask() -> None:
    image = RawImage("2.nii", make_nifti(make_body())[:500], "a", mask=b"mask")
    assert convert(image) == [image._replace(mask=None)]


def test_expand_medical_formats_pages_of_one_file_are_one_patient() -> None:
    buffer = io.BytesIO()
    pages = [Image.fromarray(head(seed)) for seed in range(3)]
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    images = convert(RawImage("a/s.tif", buffer.getvalue(), "a"))
    assert [image.path for image in images] == [f"a/s.tif.{n:03d}.png" for n in range(3)]
    assert {image.patient for image in images} == {"a/s.tif"}
    for image, page in zip(images, pages, strict=True):
        assert np.array_equal(decode_gray(image.content), np.asarray(page))


def test_expand_medical_formats_dicom_without_pixels_is_skipped_with_the_reason() -> None:
    skipped = SkippedFiles()
    assert convert(RawImage("report", make_report(), "a"), skipped=skipped) == []
    assert skipped.table().to_numpy().tolist() == [["report", "a DICOM file without an image"]]


@pytest.mark.parametrize(("from_header", "named"), [(True, ""), (False, ""), (False, "p")])
def test_expand_medical_formats_patient_of_the_header_can_be_left_out(from_header: bool, named: str) -> None:
    image = RawImage("1.dcm", make_dicom(RAMP), "a", patient=named)
    (converted,) = expand_medical_formats([image], Volumes(), SkippedFiles(), from_header)
    assert converted.patient == (decode_dicom(image.content).patient if from_header else named)


def test_expand_medical_formats_pixels_that_are_not_square_enlarge_mask_and_box() -> None:
    mask = np.zeros((30, 40), np.uint8)
    mask[6:12, 10:20] = 1
    image = RawImage("1", make_dicom(RAMP, PixelSpacing=[2, 1]), "a", mask=png(mask), box="10 6 10 6")
    (converted,) = convert(image)
    assert decode_gray(converted.content).shape == (60, 40)
    inside = decode_gray(converted.mask or b"") == 255
    assert parse_boxes(converted.box) == [(10, 12, 10, 12)] == [bounding_box(inside)]


def test_expand_medical_formats_warnings_of_the_header_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    convert(RawImage("1.dcm", make_dicom(RAMP, Modality="CT"), "a"))
    assert "1.dcm: the DICOM header states the modality CT, not MR" in caplog.text


def test_expand_medical_formats_boxes_outside_a_frame_are_cut_off_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    frame = make_dicom(RAMP)
    (inside,) = convert(RawImage("1", frame, "a", box="10 6 10 6"))
    assert (inside.box, caplog.text) == ("10 6 10 6", "")
    (cut,) = convert(RawImage("2", frame, "a", box="30 6 100 6;90 90 2 2"))
    assert cut.box == "30 6 10 6"
    assert "2: boxes outside the image were cut off or left out: 30 6 100 6;90 90 2 2" in caplog.text
