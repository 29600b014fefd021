"""The index of all images below a folder."""

import hashlib
import os
import pickle
import tempfile
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import COLUMNS
from brain_tumor.datasets.readers.contrasts import MASK, UNUSED_MASK
from brain_tumor.datasets.readers.folder import FolderFiles
from brain_tumor.datasets.readers.folder_index import find_images, index_images
from brain_tumor.datasets.readers.folder_labels import FolderLabels, infer_labels
from brain_tumor.datasets.readers.indexed_images import IndexedImages
from brain_tumor.datasets.readers.volumes import Volumes
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.imaging.decode import decode_gray
from clinical_files import RAMP, make_body, make_dicom, make_nifti
from heads import head, png

HEADER = "the header of an .img file beside it"
PNG, DICOM, NIFTI = png(head(1)), make_dicom(RAMP), make_nifti(make_body(), compress=True)
NIFTI_HEADER = make_nifti(make_body())[:348]
# Contents, and the number of images in each; 0 is not an image.
CONTENTS = {PNG: 1, DICOM: 1, NIFTI: 2, b"some text": 0, b"": 0, b"\x89HDF": 0, b"PK\x03\x04": 0}
NAMES = st.sampled_from(["a", "b.txt", "c d", "é", "IM 1", "Thumbs.db", ".hidden", "x\x07y", os.fsdecode(b"\xff")])


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def index(
    folder: Path, converted: Path, skipped: SkippedFiles | None = None, **volumes: Any
) -> tuple[pd.DataFrame, IndexedImages]:
    skipped = SkippedFiles() if skipped is None else skipped
    files, images = FolderFiles(folder, leave_out_folders=True), IndexedImages(folder, converted)
    labels = infer_labels(find_images(files, skipped))
    return index_images(files, labels, images, Volumes(**volumes), skipped), images


def reasons(skipped: SkippedFiles) -> dict[str, str]:
    table = skipped.table()
    return dict(zip(table["path"], table["reason"], strict=True))


@pytest.fixture
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("converted")


def test_find_images_other_files_are_listed_with_the_reason(tmp_path: Path) -> None:
    write(tmp_path, {"a/1": PNG, "a/2.dcm": DICOM, "a/3.jpg": b"", "b/4.NII.gz": NIFTI, "b/5.txt": PNG})
    write(tmp_path, {"a/Thumbs.db": PNG, "a/notes.txt": b"text", "a/empty": b"", ".git/x.png": PNG, "__MACOSX/y": PNG})
    (tmp_path / "a/dangling.png").symlink_to(tmp_path / "nothing")
    (tmp_path / "a/itself.png").symlink_to(tmp_path / "a/itself.png")
    (tmp_path / "a/linked.png").symlink_to(tmp_path / "a/1")
    os.mkfifo(tmp_path / "pipe.png")
    skipped = SkippedFiles()
    assert find_images(FolderFiles(tmp_path, leave_out_folders=True), skipped) == [
        "a/1",
        "a/2.dcm",
        "a/3.jpg",
        "a/linked.png",
        "b/4.NII.gz",
        "b/5.txt",
    ]
    assert reasons(skipped) == {
        "a/Thumbs.db": "a file of the operating system",
        "a/notes.txt": "a text file",
        "a/empty": "an empty file",
        ".git/x.png": "a hidden file, or one that a system added",
        "__MACOSX/y": "a hidden file, or one that a system added",
        "a/dangling.png": "a link to a file that does not exist",
        "a/itself.png": "a link to a file that does not exist",
        "pipe.png": "not a regular file",
    }


def test_find_images_what_has_no_permissions_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"a/1.png": PNG, "a/2.png": PNG, "b/3.png": PNG})
    scan, open_file = os.scandir, Path.open

    def deny(path: Any) -> None:
        if str(path).endswith(("/b", "/2.png")):
            raise PermissionError(13, "Permission denied", str(path))

    def scan_some(path: Any) -> Any:
        deny(path)
        return scan(path)

    def open_some(path: Path, *args: Any) -> Any:
        deny(path)
        return open_file(path, *args)

    monkeypatch.setattr(os, "scandir", scan_some)
    monkeypatch.setattr(Path, "open", open_some)
    skipped = SkippedFiles()
    assert find_images(FolderFiles(tmp_path, leave_out_folders=True), skipped) == ["a/1.png"]
    assert reasons(skipped) == {
        "a/2.png": "a file that cannot be read (Permission denied)",
        "b": "a folder that cannot be listed (Permission denied)",
    }


def test_find_images_masks_and_headers_are_listed(tmp_path: Path) -> None:
    header = NIFTI_HEADER[:344] + b"ni1\0"
    write(tmp_path, {"a/1.png": PNG, "a/1_mask.png": PNG, "a/2_seg.png": PNG, "b/3.hdr": header, "b/3.img": b"voxels"})
    skipped = SkippedFiles()
    assert find_images(FolderFiles(tmp_path, leave_out_folders=True), skipped) == ["a/1.png", "b/3.img"]
    assert reasons(skipped) == {
        "a/1_mask.png": MASK, "a/2_seg.png": UNUSED_MASK, "b/3.hdr": HEADER,
    }  # fmt: skip


def test_index_images_pair_of_header_and_voxels_is_one_volume(tmp_path: Path, converted: Path) -> None:
    pair = nibabel.Nifti1Pair(make_body(), np.eye(4))
    nibabel.save(pair, tmp_path / "head.img")
    write(tmp_path, {"head.nii": make_nifti(make_body()), "broken.img": b"voxels"})
    skipped = SkippedFiles()
    table, images = index(tmp_path, converted, skipped, count=2)
    contents = [images.read(path) for path in table["path"]]
    assert table["path"].str.startswith("head.img.axial-").tolist() == [True, True, False, False]
    assert contents[:2] == contents[2:]
    assert reasons(skipped) == {"broken.img": "voxels without their .hdr file", "head.hdr": HEADER}


def test_find_images_large_file_is_listed(tmp_path: Path) -> None:
    write(tmp_path, {"a.png": PNG, "b.png": PNG})
    os.truncate(tmp_path / "b.png", 2**31 + 1)  # takes no space on the disk
    skipped = SkippedFiles()
    assert find_images(FolderFiles(tmp_path, leave_out_folders=True), skipped) == ["a.png"]
    assert reasons(skipped) == {"b.png": "an image file of more than 2 GiB"}


def test_index_images_plain_files_are_read_from_the_folder(tmp_path: Path, converted: Path) -> None:
    write(tmp_path, {"Training/sick/1.PNG": PNG, "Testing/well/2": PNG, "Testing/loose.jpg": b"broken", "x.txt": b"x"})
    table, files = index(tmp_path, converted)
    assert list(table.columns) == COLUMNS
    assert table[["path", "label", "split"]].to_numpy().tolist() == [
        ["Testing/loose.jpg", "", "test"],
        ["Testing/well/2", "well", "test"],
        ["Training/sick/1.PNG", "sick", "train"],
    ]
    assert table["sha256"].tolist() == [hashlib.sha256(content).hexdigest() for content in (b"broken", PNG, PNG)]
    assert (table[["patient", "mask", "plane"]] == "").all(axis=None)
    assert list(converted.iterdir()) == []
    assert files.read("Testing/well/2") == PNG


def test_index_images_frames_slices_and_pages_are_converted(tmp_path: Path, converted: Path) -> None:
    frames = make_dicom(np.stack([RAMP, RAMP + 1]), NumberOfFrames=2, PatientID="7")
    write(tmp_path, {"sick/a": frames, "sick/b": make_dicom(RAMP, PatientID="7"), "well/c.nii.gz": NIFTI})
    pages = [Image.fromarray(head(seed)) for seed in (1, 2, 3)]
    pages[0].save(tmp_path / "well/d.tif", save_all=True, append_images=pages[1:])
    table, files = index(tmp_path, converted, plane="coronal", count=2)
    names = table["path"].tolist()
    assert names[:3] == ["sick/a.000.png", "sick/a.001.png", "sick/b.png"]
    assert [name.split(".coronal-")[0] for name in names[3:5]] == ["well/c.nii.gz"] * 2
    assert names[5:] == [f"well/d.tif.{number:03d}.png" for number in range(3)]
    assert table["label"].tolist() == ["sick"] * 3 + ["well"] * 5
    assert table["plane"].tolist()[3:5] == ["coronal"] * 2
    patients = table["patient"].tolist()
    assert len(set(patients[:3])) == 1
    assert patients[0] not in ("", "7")
    assert patients[3:] == ["well/c"] * 2 + ["well/d.tif"] * 3
    for seed, name in enumerate(names[5:], 1):
        np.testing.assert_array_equal(decode_gray(files.read(name)), head(seed))
    digests = [hashlib.sha256(files.read(name)).hexdigest() for name in names]
    assert table["sha256"].tolist() == digests


def test_index_images_converted_image_with_the_name_of_a_file_is_kept(tmp_path: Path, converted: Path) -> None:
    write(tmp_path, {"a": DICOM})
    alone, files = index(tmp_path, converted)
    content = files.read("a.png")
    assert alone["path"].tolist() == ["a.png"]
    for other in (PNG, content):  # also if both have the same bytes
        (converted / str(len(other))).mkdir()
        write(tmp_path, {"a.png": other})
        table, files = index(tmp_path, converted / str(len(other)))
        assert table["path"].tolist() == ["a.png", "a.png (converted)"]
        assert [files.read(path) for path in table["path"]] == [other, content]


def test_index_images_names_that_are_not_text_are_escaped(tmp_path: Path, converted: Path) -> None:
    write(tmp_path, {os.fsdecode(b"m\xff/\xfe.png"): PNG, "b\x1b/\n.png": png(head(2)), "a/\\n.png": png(head(3))})
    table, files = index(tmp_path, converted)
    assert table["path"].tolist() == ["a/\\n.png", "b\\x1b/\\n.png", "m\\udcff/\\udcfe.png"]
    assert table["label"].tolist() == ["a", "b\\x1b", "m\\udcff"]
    assert [files.read(path) for path in table["path"]] == [png(head(3)), png(head(2)), PNG]


def test_index_images_file_that_disappears_is_listed(tmp_path: Path, converted: Path) -> None:
    write(tmp_path, {"a.png": PNG})
    skipped = SkippedFiles()
    labels = {"0.png": FolderLabels("x"), "a.png": FolderLabels("y", "test", "p\n")}
    table = index_images(
        FolderFiles(tmp_path, leave_out_folders=True), labels, IndexedImages(tmp_path, converted), Volumes(), skipped
    )
    assert table[["path", "label", "split", "patient"]].to_numpy().tolist() == [["a.png", "y", "test", "p\\n"]]
    assert reasons(skipped) == {"0.png": f"{tmp_path}/0.png cannot be read: No such file or directory"}


def test_index_images_no_image_is_an_empty_table(tmp_path: Path, converted: Path) -> None:
    table, _ = index(tmp_path, converted)
    assert (len(table), list(table.columns)) == (0, COLUMNS)


PATHS = st.tuples(st.sampled_from(["x", "y", ".z"]), NAMES)


@given(st.dictionaries(PATHS, st.sampled_from(list(CONTENTS)), max_size=8))
@settings(max_examples=15)
def test_index_images_any_tree_files_are_images_or_listed(tree: dict[tuple[str, str], bytes]) -> None:
    with tempfile.TemporaryDirectory() as root:
        folder, converted = Path(root, "in"), Path(root, "out")
        folder.mkdir()
        converted.mkdir()
        write(folder, {"/".join(path): content for path, content in tree.items()})
        skipped = SkippedFiles()
        table, files = index(folder, converted, skipped, count=2)
        ignored = ("Thumbs.db", ".hidden")
        expected = [c for (parent, name), c in tree.items() if CONTENTS[c] and parent != ".z" and name not in ignored]
        assert len(tree) == len(expected) + len(skipped.table())
        assert len(table) == sum(CONTENTS[content] for content in expected)
        assert table["path"].is_unique
        for path, digest in zip(table["path"], table["sha256"], strict=True):
            assert hashlib.sha256(files.read(path)).hexdigest() == digest
            assert not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in path)


def test_indexed_images_read_in_another_process_and_missing_file(tmp_path: Path, converted: Path) -> None:
    write(tmp_path, {"a": DICOM, "b": PNG})
    _, files = index(tmp_path, converted)
    copy = pickle.loads(pickle.dumps(files))
    assert copy.read("b") == PNG
    assert copy.read("a.png") == files.read("a.png") != DICOM
    with pytest.raises(UserError, match=r"/c cannot be read: No such file"):
        copy.read("c")
