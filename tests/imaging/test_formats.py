"""Which files count as images."""

import gzip
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from brain_tumor.imaging.decode import FORMATS, decode_gray
from brain_tumor.imaging.formats import (
    HEAD_BYTES,
    IMAGE_SUFFIXES,
    RASTER_SUFFIXES,
    identify,
    is_hidden,
    may_hold_several_images,
)
from clinical_files import RAMP, make_body, make_dicom, make_nifti

SRC = Path(__file__).parents[2] / "src"


def encode(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(buffer, kind)
    return buffer.getvalue()


IMAGES: dict[str, tuple[bytes, str]] = {
    **{kind: (encode(kind), "raster") for kind in FORMATS},
    "dicom": (make_dicom(RAMP), "dicom"),
    "gzipped dicom": (gzip.compress(make_dicom(RAMP)), "dicom"),
    "dicom without preamble": (make_dicom(RAMP)[132:], "dicom"),
    "nifti": (make_nifti(make_body()), "nifti"),
    "gzipped nifti": (make_nifti(make_body(), compress=True), "nifti"),
    "nifti 2": (nibabel.Nifti2Image(make_body(), np.eye(4)).to_bytes(), "nifti"),
    "nrrd": (b"NRRD0004\ntype: short\n", "itk"),
    "metaimage": (b"ObjectType = Image\nNDims = 3\nElementDataFile = LOCAL\n", "itk"),
}
OTHER_FILE = "a header whose voxels are in another file, which is not supported: save both as one file"
OTHERS = {
    b"": "an empty file",
    b"path,label\n": "a text file",
    b"<?xml version='1.0'?><annotation/>": "an XML file",
    b"<!DOCTYPE html><html>": "a web page",
    b'{"a": 1}': "a JSON file",
    b"PK\x03\x04 and more": "a zip archive or an office document",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\xd0\xcf\x11\xe0 and more": "a Windows system file or an old office document",
    b"\0\0\0\x18ftypheic": "a HEIC or AVIF image, which is not supported: convert it to PNG",
    gzip.compress(bytes(257) + b"ustar", mtime=0): "a tar.gz archive",
    gzip.compress(b"text", mtime=0): "gzip data that is neither a DICOM nor a NIfTI file: unpack it",
    b"\x28\xb5\x2f\xfd and more": "Zstandard data",
    b"ObjectType = Image\nNDims = 3\nElementDataFile = a.raw\n": OTHER_FILE,
    b"NRRD0004\ntype: short\ndata file: a.raw\n\n": OTHER_FILE,
    bytes(range(1, 40)): "content of an unknown kind",
}


@pytest.mark.parametrize("name", ["1", "a/b.txt", "MR.1.2.840", "x.PNG", "scan.dat", "v.nii.gz", "e.ima"])
@pytest.mark.parametrize("image", IMAGES)
def test_identify_content_of_an_image_decides_whatever_its_name(image: str, name: str) -> None:
    content, kind = IMAGES[image]
    assert identify(content, name) == identify(content[:HEAD_BYTES], name) == (kind, "", "")


@pytest.mark.parametrize("content", OTHERS)
def test_identify_other_content_has_its_reason(content: bytes) -> None:
    assert identify(content, "a/file")[:2] == (None, OTHERS[content])


@pytest.mark.parametrize(
    ("content", "other"),
    [
        (b"PK\x03\x04 and more", "packed"), (b"\x28\xb5\x2f\xfd and more", "packed"),
        (gzip.compress(bytes(257) + b"ustar", mtime=0), "packed"), (bytes(257) + b"ustar", "packed"),
        (b"", "unknown"), (bytes(range(1, 40)), "unknown"), (b"archive of data", ""), (b"%PDF", ""),
    ],
)  # fmt: skip
def test_identify_packed_and_unknown_content_is_told_from_other_files(content: bytes, other: str) -> None:
    assert identify(content, "a/file").other == other


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_identify_unknown_content_with_the_suffix_of_an_image_is_a_broken_image(suffix: str) -> None:
    kind, reason, _ = identify(b"broken", f"a/b{suffix.upper()}")
    assert kind is not None
    assert not reason


@pytest.mark.parametrize(
    "content", [b"version https://git-lfs.github.com/spec/v1\n", b"/annex/objects/SHA256E-s9--1.png"]
)
def test_identify_pointer_to_a_file_is_no_image_whatever_its_name(content: bytes) -> None:
    kind, reason, _ = identify(content, "a.png")
    assert kind is None
    assert "not the file itself" in reason


@pytest.mark.parametrize("name", ["a/Thumbs.db", "desktop.ini", "glioma/Icon\r"])
def test_identify_system_files_are_not_images(name: str) -> None:
    assert identify(b"anything", name) == (None, "a file of the operating system", "")


@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.Nifti2Pair, nibabel.Spm2AnalyzeImage])
def test_identify_pair_is_one_image(kind: Any, tmp_path: Path) -> None:
    kind(make_body(), np.eye(4)).to_filename(tmp_path / "v.img")
    assert identify((tmp_path / "v.hdr").read_bytes(), "v.hdr") == (None, "the header of an .img file", "")
    assert identify((tmp_path / "v.img").read_bytes(), "v.img").kind == "nifti-voxels"


@given(st.binary(max_size=600), st.text(max_size=8))
def test_identify_any_content_is_an_image_or_has_a_reason(content: bytes, name: str) -> None:
    kind, reason, _ = identify(content, name)
    assert (kind is None) == bool(reason)


@pytest.mark.parametrize("suffix", RASTER_SUFFIXES)
def test_raster_suffix_has_a_format_that_is_decoded(suffix: str) -> None:
    kind = Image.registered_extensions()[suffix]
    assert kind in FORMATS
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(buffer, kind)
    assert decode_gray(buffer.getvalue()).shape == (4, 5)


@pytest.mark.parametrize(("name", "several"), [("a.dcm", True), ("v.NII.gz", True), ("s.tif", True), ("a.png", False)])
def test_may_hold_several_images_by_suffix(name: str, several: bool) -> None:
    assert may_hold_several_images(name) is several


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("a/b.png", False),
        (".DS_Store", True),
        ("a/._b.png", True),
        (".git/b.png", True),
        ("__MACOSX/a/b.png", True),
        ("a__MACOSX/b.png", False),
        ("a/@eaDir/b.png", True),
        ("a@eaDir/b.png", False),
        ("a.b/c.png", False),
    ],
)
def test_is_hidden_any_part_of_the_path_counts(name: str, hidden: bool) -> None:
    assert is_hidden(name) is hidden


def test_formats_import_loads_no_decoder() -> None:
    code = "import sys, brain_tumor.imaging.formats; print(*{'PIL', 'numpy', 'pydicom', 'nibabel'} & {*sys.modules})"
    result = subprocess.run([sys.executable, "-c", code], cwd=SRC, capture_output=True, text=True, check=True)
    assert result.stdout == "\n"


def make_elements(order: str, implicit: bool, *tags: tuple[int, int]) -> bytes:
    """Make a DICOM file without preamble that begins with some elements."""
    data = pydicom.Dataset()
    values = {(8, 5): "ISO_IR 100", (8, 0x18): "1.2.3", (8, 0x60): "MR", (0x10, 0x10): "A^B", (0x10, 0x20): "id"}
    for tag in tags:
        data.add_new(tag, pydicom.datadict.dictionary_VR(tag), values[tag])
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, data, implicit_vr=implicit, little_endian=order == "little")
    return buffer.getvalue()


@pytest.mark.parametrize(("order", "implicit"), [("little", True), ("little", False), ("big", False)])
@pytest.mark.parametrize("start", [(8, 5), (8, 0x18), (8, 0x60), (0x10, 0x10)])
def test_identify_dicom_without_preamble_begins_with_any_element(
    order: str, implicit: bool, start: tuple[int, int]
) -> None:
    tags = [(8, 5), (8, 0x18), (8, 0x60), (0x10, 0x10), (0x10, 0x20)]
    content = make_elements(order, implicit, *tags[tags.index(start) :]) + bytes([0x28, 0, 2, 0, 2, 0, 0, 0, 1, 0])
    assert (identify(content, "MR000001").kind == "dicom") == (not implicit or start != (0x10, 0x10))


@pytest.mark.parametrize(
    "content",
    [
        bytes([8, 0, 5, 0, 10, 0, 0, 0]) + bytes(300),  # the next element has a smaller tag
        bytes([8, 0, 5, 0, 0, 0, 1, 0]) + bytes(300),  # a length that no first element has
        bytes([8, 0]) * 200,
        bytes([8, 0, 5]),
    ],
)
def test_identify_bytes_that_begin_like_dicom_are_not_images(content: bytes) -> None:
    assert identify(content, "data").kind is None
