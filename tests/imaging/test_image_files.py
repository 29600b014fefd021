"""From image files of any kind to gray images."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from brain_tumor.imaging.decode import decode_gray
from brain_tumor.imaging.image_files import MaskError, needs_conversion, read_image_file
from clinical_files import RAMP, make_body, make_dicom, make_nifti
from heads import head, png


def make_pages(count: int) -> bytes:
    buffer = io.BytesIO()
    pages = [Image.fromarray(head(seed)) for seed in range(count)]
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "several"),
    [
        (png(head(1)), False),
        (make_pages(1), False),
        (make_pages(2), True),
        (make_dicom(RAMP), True),
        (b"broken", False),
    ],
)
def test_needs_conversion_one_ordinary_image_needs_none(content: bytes, several: bool) -> None:
    assert needs_conversion(content, "a.png") is several


def test_read_image_file_ordinary_image_has_one_part() -> None:
    (part,) = read_image_file(png(head(1)), "a.png", "axial", 5).parts
    assert part.suffix == ""
    assert np.array_equal(part.gray, decode_gray(png(head(1))))


def test_read_image_file_parts_of_a_volume_are_slices_of_the_plane() -> None:
    file = read_image_file(make_nifti(make_body()), "v.nii", "coronal", 3)
    assert file.is_volume
    assert len(file.parts) == 3
    assert all(part.suffix.startswith(".coronal-") and part.plane == "coronal" for part in file.parts)
    with pytest.raises(ValueError, match="plane 'oblique' is not one of"):
        read_image_file(make_nifti(make_body()), "v.nii", "oblique", 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "an empty file"), (b"text", "a text file"), (b"PK\3\4", "a zip archive or an office document")],
)
def test_read_image_file_other_content_is_an_error_that_says_what_it_is(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_image_file(content, "file", "axial", 5)


MASK = (RAMP % 7 == 0).astype(np.uint8)


@pytest.mark.parametrize("encode", [png, make_dicom])
@pytest.mark.parametrize("value", [1, 3, 255])
def test_read_image_file_mask_of_any_kind_is_what_is_above_0(encode: Any, value: int) -> None:
    (part,) = read_image_file(make_dicom(RAMP), "a.dcm", "axial", 5, encode(MASK * value)).parts
    assert part.mask is not None
    assert np.array_equal(part.mask, MASK > 0)


@pytest.mark.parametrize(
    ("content", "mask", "message"),
    [
        (png(head(1)), png(np.ones((3, 4), np.uint8)), "pixels, its mask 4×3: image and mask must have the same size"),
        (png(head(1)), b"broken", "the mask of a cannot be read: not an image file"),
        (make_pages(3), png(head(1)), "a has 3 images but its mask has 1"),
        (make_nifti(make_body()), make_nifti(np.ones((2, 3, 4), np.int16)), r"has the shape \(2, 3, 4\), the volume"),
        (make_nifti(make_body()), b"broken", "the mask of a cannot be read"),
    ],
)
def test_read_image_file_mask_that_does_not_fit_is_an_error(content: bytes, mask: bytes, message: str) -> None:
    with pytest.raises(MaskError, match=message):
        read_image_file(content, "a", "axial", 5, mask)


def test_read_image_file_mask_of_a_volume_ignores_values_that_are_not_finite() -> None:
    labels: Any = np.full(make_body().shape, np.nan, np.float32)
    labels[8:12, 8:14, 9:13] = 4
    file = read_image_file(make_nifti(make_body()), "v.nii", "axial", 9, make_nifti(labels))
    assert [part.suffix for part in file.parts] == [f".axial-{z:03d}" for z in range(9, 13)]
    assert {int(part.mask.sum()) for part in file.parts if part.mask is not None} == {24}
