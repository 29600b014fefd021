"""Any folder of images: its files and an index of its images."""

import hashlib
import os
from pathlib import Path

import pytest

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import COLUMNS
from brain_tumor.datasets.readers.folder import FolderFiles, index_images
from heads import head, png


def write(folder: Path, *names: str, content: bytes = b"x") -> FolderFiles:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return FolderFiles(folder)


def test_index_images_folders_are_split_and_label(tmp_path: Path) -> None:
    names = ("Training/sick/1.PNG", "Training/sick/2.jpg", "Testing/sick/1 again.png", "Testing/well/3.png")
    files = write(tmp_path, *names, "Testing/loose.png", "notes.txt", ".hidden/5.png", content=png(head(1)))
    index = index_images(files)
    assert index[["path", "label", "split"]].to_numpy().tolist() == [
        ["Testing/loose.png", "", "test"],
        ["Testing/sick/1 again.png", "sick", "test"],
        ["Testing/well/3.png", "well", "test"],
        ["Training/sick/1.PNG", "sick", "train"],
        ["Training/sick/2.jpg", "sick", "train"],
    ]
    assert list(index.columns) == COLUMNS
    assert set(index["sha256"]) == {hashlib.sha256(png(head(1))).hexdigest()}
    assert (index[["patient", "mask", "plane"]] == "").all(axis=None)


def test_index_images_first_folder_is_label(tmp_path: Path) -> None:
    files = write(tmp_path, "glioma/patient 1/a.png", "valid/none/b.png", "none/test/c.png")
    index = index_images(files).set_index("path")
    assert index["label"].to_dict() == {
        "glioma/patient 1/a.png": "glioma", "valid/none/b.png": "none", "none/test/c.png": "none",
    }  # fmt: skip
    assert index["split"].tolist() == ["", "test", "train"]


def test_index_images_folder_without_images_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no image below .* \(searched for \.jpg, "):
        index_images(write(tmp_path, "notes.txt"))


def test_index_images_name_that_is_not_utf_8_is_an_error(tmp_path: Path) -> None:
    files = write(tmp_path, os.fsdecode(b"a/\xff.png"))
    with pytest.raises(UserError, match="has a name that is not UTF-8: rename it") as caught:
        index_images(files)
    str(caught.value).encode()


def test_folder_files_follow_links_once_and_skip_hidden(tmp_path: Path) -> None:
    write(tmp_path, "outside/1.png", "images/a/2.png", "images/a/.hidden.png", "images/.git/3.png")
    (tmp_path / "images/b").symlink_to(tmp_path / "outside")
    (tmp_path / "images/a/back").symlink_to(tmp_path / "images")
    (tmp_path / "images/dangling.png").symlink_to(tmp_path / "nowhere")
    assert FolderFiles(tmp_path / "images").names() == ["a/2.png", "b/1.png"]


def test_folder_files_read_returns_the_bytes(tmp_path: Path) -> None:
    assert write(tmp_path, "a/1.png", content=b"123").read("a/1.png") == b"123"


def test_folder_files_read_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.png cannot be read: No such file"):
        FolderFiles(tmp_path).read("nothing.png")
