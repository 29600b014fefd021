"""Which files count as images."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from brain_tumor.imaging.decode import FORMATS, decode_gray
from brain_tumor.imaging.formats import (
    DICOM_HEADER_BYTES,
    IMAGE_SUFFIXES,
    RASTER_SUFFIXES,
    is_dicom,
    is_hidden,
    is_image_name,
    is_nifti_name,
    is_raster_name,
    may_hold_several_images,
)
from clinical_files import RAMP, make_dicom

SRC = Path(__file__).parents[2] / "src"


@pytest.mark.parametrize(
    ("name", "raster", "nifti", "image"),
    [
        ("a/b.PNG", True, False, True),
        ("a.b.jpeg", True, False, True),
        ("v.nii", False, True, True),
        ("v.NII.gz", False, True, True),
        ("v.gz", False, False, False),
        ("1.dcm", False, False, True),
        ("notes.txt", False, False, False),
        ("png", False, False, False),
        ("a.png/readme", False, False, False),
        ("", False, False, False),
    ],
)
def test_is_image_name_suffix_decides_in_any_case(name: str, raster: bool, nifti: bool, image: bool) -> None:
    assert (is_raster_name(name), is_nifti_name(name), is_image_name(name)) == (raster, nifti, image)


@pytest.mark.parametrize("name", ["a.dcm", "a.DCM", "v.nii", "v.nii.gz", "a.png", "a.tif", "IM0001"])
def test_may_hold_several_images_clinical_suffixes_alone(name: str) -> None:
    assert may_hold_several_images(name) is (name[0] == "v" or name.lower() == "a.dcm")


@given(st.text(max_size=8), st.sampled_from([*IMAGE_SUFFIXES, ".txt", ""]))
def test_is_image_name_includes_raster_and_nifti_names(stem: str, suffix: str) -> None:
    name = stem + suffix
    assert is_image_name(name) or not (is_raster_name(name) or is_nifti_name(name))
    assert is_image_name(name) == is_image_name(name.swapcase()) or not name.isascii()


@pytest.mark.parametrize("suffix", RASTER_SUFFIXES)
def test_raster_suffix_has_a_format_that_is_decoded(suffix: str) -> None:
    kind = Image.registered_extensions()[suffix]
    assert kind in FORMATS
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(buffer, kind)
    assert decode_gray(buffer.getvalue()).shape == (4, 5)


def test_is_dicom_header_is_enough() -> None:
    content = make_dicom(RAMP)
    assert is_dicom(content)
    assert is_dicom(content[:DICOM_HEADER_BYTES])
    assert not is_dicom(content[: DICOM_HEADER_BYTES - 1])
    assert not is_dicom(content[1:])
    assert not is_dicom(b"")


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("a/b.png", False),
        (".DS_Store", True),
        ("a/._b.png", True),
        (".git/b.png", True),
        ("__MACOSX/a/b.png", True),
        ("a__MACOSX/b.png", False),
        ("a.b/c.png", False),
    ],
)
def test_is_hidden_any_part_of_the_path_counts(name: str, hidden: bool) -> None:
    assert is_hidden(name) is hidden


def test_formats_import_loads_no_decoder() -> None:
    code = "import sys, brain_tumor.imaging.formats; print(*{'PIL', 'numpy', 'pydicom', 'nibabel'} & {*sys.modules})"
    result = subprocess.run([sys.executable, "-c", code], cwd=SRC, capture_output=True, text=True, check=True)
    assert result.stdout == "\n"
