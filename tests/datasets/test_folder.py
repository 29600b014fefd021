"""The files of a folder."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.readers.folder import FolderFiles
from brain_tumor.imaging.formats import HIDDEN


def write(folder: Path, *names: str, content: bytes = b"x") -> FolderFiles:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return FolderFiles(folder)


def test_folder_files_follow_links_once_and_skip_hidden(tmp_path: Path) -> None:
    write(tmp_path, "outside/1.png", "images/a/2.png", "images/a/.hidden.png", "images/.git/3.png")
    (tmp_path / "images/b").symlink_to(tmp_path / "outside")
    (tmp_path / "images/a/back").symlink_to(tmp_path / "images")
    (tmp_path / "images/dangling.png").symlink_to(tmp_path / "nowhere")
    files = FolderFiles(tmp_path / "images")
    assert files.names() == ["a/2.png", "b/1.png"]
    assert files.left_out() == {
        "a/.hidden.png": HIDDEN, ".git/3.png": HIDDEN, "dangling.png": "a link to a file that does not exist"
    }  # fmt: skip


def test_folder_files_read_returns_the_bytes(tmp_path: Path) -> None:
    assert write(tmp_path, "a/1.png", content=b"123").read("a/1.png") == b"123"


def test_folder_files_read_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.png cannot be read: No such file"):
        FolderFiles(tmp_path).read("nothing.png")


def test_folder_files_folder_that_cannot_be_listed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = write(tmp_path, "a/1.png", "b/2.png", ".cache/3.png")
    scandir = os.scandir

    def refuse(path: Any) -> Iterator[os.DirEntry[str]]:
        if Path(path).name in closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    closed = [".cache"]
    assert files.names() == ["a/1.png", "b/2.png"]
    closed = ["b"]
    files = FolderFiles(files.path)  # one lists the folder once
    for list_files in (files.names, files.left_out):
        with pytest.raises(UserError, match=r"the folder .*/b cannot be listed: Permission denied"):
            list_files()


def test_folder_files_names_in_another_encoding_are_hinted(tmp_path: Path) -> None:
    files = write(tmp_path, "a.png", "\u80bf.png")
    assert files.hint == ""
    (tmp_path / os.fsdecode("\u80bf".encode("gbk"))).write_bytes(b"x")
    assert "such as GBK: rename the files" in FolderFiles(tmp_path).hint
