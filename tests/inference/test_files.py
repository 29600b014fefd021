"""Files and folders as gray images."""

import gzip
import os
import re
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from brain_tumor.core.types import Gray
from brain_tumor.datasets.readers.contrasts import MASK, SECOND_MASK, UNUSED_MASK
from brain_tumor.imaging.decode import decode_gray
from brain_tumor.inference.files import find_files, read_images
from clinical_files import RAMP, make_body, make_dicom
from heads import head, png, small

WITHOUT_HEADER = "the voxels of a NIfTI pair without its .hdr file"


def write_dicom(path: Path, frames: Gray) -> None:
    """Write frames (N, H, W) as an uncompressed DICOM file without a window."""
    data = pydicom.Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = MRImageStorage, UID("1.2")
    data.Rows, data.Columns, data.NumberOfFrames = frames.shape[1], frames.shape[2], frames.shape[0]
    data.PhotometricInterpretation, data.SamplesPerPixel, data.PixelRepresentation = "MONOCHROME2", 1, 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7
    data.PixelData = frames.tobytes()
    data.save_as(path, enforce_file_format=True)


def test_find_files_lists_images_and_dicom_without_hidden(tmp_path: Path) -> None:
    (tmp_path / "._a.png").write_bytes(b"written by macOS")
    (tmp_path / "IM0001").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "README").write_text("not an image")
    images, skipped = find_files([tmp_path])
    assert [path.name for path in images] == ["IM0001"]
    assert [(path.name, reason) for path, reason in skipped] == [
        ("._a.png", "a hidden file, or one that a system added"),
        ("README", "a text file"),
    ]


@pytest.mark.parametrize(
    "name", [".a.png", "._a.png", "__MACOSX/a.png", ".cache/a.png", "a/__MACOSX/b/a.png", "a/@eaDir/b.png"]
)
def test_find_files_hidden_path_below_the_folder_is_left_out(name: str, tmp_path: Path) -> None:
    files = [tmp_path / "a@eaDir/b.png", tmp_path / "b.png"]
    for file in (tmp_path / name, *files):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(head(0, 32)))
    assert find_files([tmp_path]).images == files


@pytest.mark.parametrize("name", [".scans", "__MACOSX"])
def test_find_files_hidden_folder_that_the_user_names_is_listed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "a.png").write_bytes(png(head(0, 32)))
    assert find_files([folder]).images == [folder / "a.png"]
    monkeypatch.chdir(folder)
    assert find_files([Path()]).images == [Path("a.png")]


def test_find_files_named_files_and_missing_paths_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not an image")
    paths = [tmp_path / "notes.txt", tmp_path / "none.png"]
    assert find_files(paths).images == paths


def test_find_files_masks_in_a_folder_are_skipped_with_the_reason(tmp_path: Path) -> None:
    masks = {"a/1_mask.png": MASK, "a/1_seg.png": SECOND_MASK, "a/2_mask.png": UNUSED_MASK}
    for name in ("a/1.png", "b/2.png", "b/label_3.png", *masks):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png(head(0, 32)))
    images, skipped = find_files([tmp_path])
    assert images == [tmp_path / name for name in ("a/1.png", "b/2.png", "b/label_3.png")]
    assert skipped == [(tmp_path / name, reason) for name, reason in masks.items()]


def test_find_files_mask_that_the_user_names_is_listed(tmp_path: Path) -> None:
    (tmp_path / "1_mask.png").write_bytes(png(head(0, 32)))
    assert find_files([tmp_path / "1_mask.png"]) == ([tmp_path / "1_mask.png"], [])
    assert find_files([tmp_path]) == ([tmp_path], [(tmp_path / "1_mask.png", UNUSED_MASK)])


def test_find_files_linked_folders_are_walked_once(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "named").mkdir()
    Image.fromarray(small(range(1))[0]).save(tmp_path / "real/a.png")
    (tmp_path / "named/link").symlink_to(tmp_path / "real")
    (tmp_path / "real/back").symlink_to(tmp_path / "named")
    assert find_files([tmp_path / "named"]).images == [tmp_path / "named/link/a.png"]


def test_read_images_pipes_and_devices_are_rejected_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert read_images(tmp_path / "pipe.png")[0].error == "not a regular file"
    assert read_images(Path("/dev/zero"))[0].error == "not a regular file"


@pytest.mark.parametrize("suffix", ["tif", "gif"])
def test_read_images_all_images_of_a_file_are_read(suffix: str, tmp_path: Path) -> None:
    frames = [Image.fromarray(image) for image in small(range(3))]
    path = tmp_path / f"several.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    images = read_images(path)
    assert [image.file for image in images] == [f"{path}.{n:03d}" for n in range(3)]
    for image, frame in zip(images, frames, strict=True):
        assert image.gray is not None
        assert np.abs(image.gray.astype(int) - np.asarray(frame)).max() <= 1


def test_find_files_every_file_is_an_image_or_has_a_reason(tmp_path: Path) -> None:
    content = png(head(1))
    files = {
        "a.png": content, "b.jfif": content, "c": content, "d.dcm.gz": gzip.compress(make_dicom(RAMP)),
        "MR000001": make_dicom(RAMP)[132:], "e.ima": make_dicom(RAMP), "broken.png": b"no image",
        "Thumbs.db": b"x", "desktop.ini": b"x", "notes.txt": b"x", "a.xml": b"<?xml", "empty": b"", "x.zip": b"PK\3\4",
    }  # fmt: skip
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "gone.png").symlink_to(tmp_path / "nothing")
    images, skipped = find_files([tmp_path])
    expected = ["MR000001", "a.png", "b.jfif", "broken.png", "c", "d.dcm.gz", "e.ima", "gone.png"]
    assert [path.name for path in images] == expected
    assert {path.name: reason for path, reason in skipped} == {
        "Thumbs.db": "a file of the operating system", "desktop.ini": "a file of the operating system",
        "notes.txt": "a text file", "a.xml": "an XML file", "empty": "an empty file",
        "x.zip": "a zip archive or an office document",
    }  # fmt: skip
    errors = {Path(image.file).name: image.error for path in images for image in read_images(path) if image.error}
    assert errors == {"broken.png": "not an image file", "gone.png": "a link to a file that does not exist"}


def test_read_images_header_warnings_come_along(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(make_dicom(RAMP, Modality="CT"))
    (image,) = read_images(tmp_path / "a")
    assert image.warnings == ("the DICOM header states the modality CT, not MR",)


def test_read_images_pair_is_read_from_both_files(tmp_path: Path) -> None:
    nibabel.Nifti1Pair(make_body(), np.eye(4)).to_filename(tmp_path / "v.img")
    assert [path.name for path in find_files([tmp_path]).images] == ["v.img"]
    assert [image.error for image in read_images(tmp_path / "v.img", "axial", 3)] == [""] * 3
    (tmp_path / "v.hdr").unlink()
    (image,) = read_images(tmp_path / "v.img")
    assert image.error == WITHOUT_HEADER


@pytest.mark.parametrize(("voxels", "header"), [("UP.IMG", "UP.HDR"), ("v.img.gz", "v.hdr.gz"), ("v.img", "v.hdr.gz")])
def test_read_images_header_is_found_in_any_form(voxels: str, header: str, tmp_path: Path) -> None:
    nibabel.Nifti1Pair(make_body(), np.eye(4)).to_filename(tmp_path / "x.img")
    for name, source in ((voxels, tmp_path / "x.img"), (header, tmp_path / "x.hdr")):
        content = source.read_bytes()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        source.unlink()
    (tmp_path / "other.hdr.gz").write_bytes(gzip.compress(bytes(348)))
    images, skipped = find_files([tmp_path])
    assert images == [tmp_path / voxels]
    assert {path.name: reason for path, reason in skipped} == {
        header: "the header of an .img file beside it", "other.hdr.gz": "a header without its .img file",
    }  # fmt: skip
    assert [image.error for image in read_images(tmp_path / voxels, "axial", 3)] == [""] * 3
    (tmp_path / header).unlink()
    assert [image.error for image in read_images(tmp_path / voxels)] == [WITHOUT_HEADER]


def test_read_images_volume_gives_slices_of_the_plane(tmp_path: Path) -> None:
    y, x, z = np.mgrid[-1:1:40j, -1:1:44j, -1:1:36j]
    volume = (np.hypot(np.hypot(y, x), z) < 0.8) * 200.0
    nibabel.Nifti1Image(volume, np.eye(4)).to_filename(tmp_path / "v.nii.gz")
    images = read_images(tmp_path / "v.nii.gz", "coronal", 3)
    assert len(images) == 3
    for image in images:
        assert image.gray is not None
        assert not image.error
        assert re.fullmatch(r".*/v\.nii\.gz\.coronal-\d{3}", image.file)
    assert "plane" in read_images(tmp_path / "v.nii.gz", "oblique")[0].error


@pytest.mark.parametrize("count", [1, 3])
def test_read_images_dicom_frames_are_those_of_the_files_pixels(count: int, tmp_path: Path) -> None:
    frames = np.stack([head(seed, 64) for seed in range(count)])
    write_dicom(tmp_path / "scan", frames)
    images = read_images(tmp_path / "scan")
    low, high = np.percentile(frames.astype(float), (0.5, 99.8))
    names = [f"{tmp_path / 'scan'}.{n:03d}" for n in range(count)] if count > 1 else [str(tmp_path / "scan")]
    assert [image.file for image in images] == names
    for image, frame in zip(images, frames, strict=True):
        expected = np.rint(255 * (np.clip(frame, low, high) - low) / (high - low)).astype(np.uint8)
        assert image.gray is not None
        assert np.array_equal(image.gray, expected)
        assert np.array_equal(image.gray, decode_gray(png(image.gray))), "the same as by way of a PNG file"


def test_read_images_folders_and_missing_files_give_the_reason(tmp_path: Path) -> None:
    assert read_images(tmp_path)[0].error == "contains no image"
    assert read_images(tmp_path / "none.png")[0].error == "does not exist"
