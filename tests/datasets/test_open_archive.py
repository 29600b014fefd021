"""Archives of the user in any format, and what is none."""

import zipfile
from pathlib import Path

import pytest

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.readers.open_archive import open_archive
from brain_tumor.datasets.readers.zip_archive import ZipFiles
from clinical_files import make_body, make_nifti
from heads import head, png


def test_open_archive_content_decides_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("yes/1.png", b"one")
    with open_archive(path, tmp_path) as files:
        assert isinstance(files, ZipFiles)
        assert files.read("yes/1.png") == b"one"
    path.write_bytes(b"#!/bin/sh\n" * 60 + path.read_bytes())  # a program that unpacks itself
    with open_archive(path, tmp_path) as files:
        assert files.names() == ["yes/1.png"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"7z\xbc\xaf\x27\x1c" + bytes(600), r"is a 7z archive, not a zip or tar archive: unpack it, and pack"),
        (b"Rar!\x1a\x07" + bytes(600), r"is a RAR archive, not a zip or tar archive: unpack it, and pack"),
        (b"<!DOCTYPE html><html>", r"is a web page, not a zip or tar archive: save the archive itself"),
        (b"see the other page\n", r"is a text file, not a zip or tar archive: save the archive itself"),
        (b"", r"is an empty file, not a zip or tar archive: save the archive itself"),
        (png(head(1)), r"is an image, not a zip or tar archive: set `kind: folder`"),
        (make_nifti(make_body(), compress=True), r"cannot be read as a tar archive .*: copy it again, or pack"),
        (b"PK\x03\x04" + bytes(600), r"\(a zip archive whose end is missing or damaged\): copy it again, or pack"),
    ],
)
def test_open_archive_other_content_error_says_what_it_is(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        open_archive(tmp_path / "a.zip", tmp_path)
    assert "download" not in str(caught.value)


def test_open_archive_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is a folder, not an archive: set `kind: folder`"):
        open_archive(tmp_path, tmp_path)
