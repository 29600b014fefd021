"""Zip archives of others: which members are read, and which are rejected."""

import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.readers.zip_archive import Layout, ZipFiles, read_images

FLAT = Layout(path="{label}/{file}", labels={"yes": "tumor", "no": "notumor"})
SPLIT = Layout(path="{split}/{label}/{file}", labels={"yes": "tumor"}, splits={"Training": "train", "Testing": "test"})


def write(path: Path, *names: str | zipfile.ZipInfo, content: bytes = b"x", method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name in names:
            archive.writestr(name, content)
    return path


def test_read_images_only_matching_members_are_read(tmp_path: Path) -> None:
    names = ["yes/b.JPG", "no/a b.png", ".", "brain/yes/b.JPG", "maybe/c.png", "yes/", "readme.txt"]
    images = [(image.path, image.label, image.split) for image in read_images(write(tmp_path / "a.zip", *names), FLAT)]
    assert images == [("no/a b.png", "notumor", ""), ("yes/b.JPG", "tumor", "")]


def test_read_images_folders_are_published_splits(tmp_path: Path) -> None:
    names = ["Training/yes/1.png", "Testing/yes/1.png", "Training/no/2.png", "Other/yes/3.png"]
    images = [(image.path, image.label, image.split) for image in read_images(write(tmp_path / "a.zip", *names), SPLIT)]
    assert images == [("Testing/yes/1.png", "tumor", "test"), ("Training/yes/1.png", "tumor", "train")]


def test_read_images_no_matching_member_error_shows_examples(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no file that matches \{label\}/\{file\} \(it has data/x.png"):
        list(read_images(write(tmp_path / "a.zip", "data/x.png"), FLAT))


@pytest.mark.parametrize("name", ["../yes/a.png", "/yes/a.png", "yes/../../a.png", "..\\yes\\a.png", "C:/yes/a.png"])
def test_read_images_path_outside_the_archive_is_rejected(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="outside the archive: rejected"):
        list(read_images(write(tmp_path / "a.zip", "yes/b.png", name), FLAT))


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "{file}"},
        {"path": "{label}"},
        {"path": "{split}/{label}/{file}"},
        {"splits": {"a": "test"}},
        {"path": "{label}/{label}/{file}"},
    ],
)
def test_layout_invalid_placeholders_are_rejected(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Layout.model_validate({"path": "{label}/{file}", "labels": {"yes": "tumor"}} | changes)


def test_read_images_hidden_files_ignored_others_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    names = ["yes/1.png", "yes/.DS_Store", "yes/._1.png", "__MACOSX/yes/1.png", "yes/deep/2.png", "maybe/3.png"]
    assert [image.path for image in read_images(write(tmp_path / "a.zip", *names), FLAT)] == ["yes/1.png"]
    assert "2 files are ignored, as they do not match {label}/{file} (maybe/3.png, …)" in caplog.text


def test_read_images_member_without_a_name_is_rejected(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", "yes/1.png", "/")
    with pytest.raises(UserError, match="a member without a name"):
        list(read_images(path, FLAT))


def test_read_images_link_is_rejected(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("yes/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(UserError, match=r"'yes/link.png' is a link or a device"):
        list(read_images(write(tmp_path / "a.zip", link), FLAT))


def test_read_images_extreme_compression_is_rejected(tmp_path: Path) -> None:
    bomb = write(tmp_path / "a.zip", "yes/a.png", content=bytes(2**24), method=zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match=r"'yes/a.png' is compressed more than 1000-fold"):
        list(read_images(bomb, FLAT))


def test_zip_files_member_above_the_size_limit_is_rejected(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", "yes/a.png", content=bytes(1000))
    with pytest.raises(UserError, match=r"'yes/a.png' decompresses to 1,000 bytes, more than 999: rejected"):
        ZipFiles(path, max_member_bytes=999)
    with ZipFiles(path, max_member_bytes=1000) as files:
        assert files.read("yes/a.png") == bytes(1000)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_read_images_unsupported_compression_is_rejected(tmp_path: Path, method: int) -> None:
    with pytest.raises(UserError, match=r"'yes/a.png' has an unsupported compression: repack with deflate"):
        list(read_images(write(tmp_path / "a.zip", "yes/a.png", method=method), FLAT))


def test_read_images_too_large_or_wrong_size_is_rejected(tmp_path: Path) -> None:
    for name, size in (("huge", 2 * 2**30), ("wrong", 10)):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(33):
                archive.writestr(f"yes/{number}.png", bytes(1000))
            for member in archive.infolist():  # the directory, which is written on closing, has wrong sizes
                member.file_size, member.compress_size = size, max(size, member.compress_size)
    with pytest.raises(UserError, match="decompresses to more than 64 GiB"):
        list(read_images(tmp_path / "huge", FLAT))
    with pytest.raises(UserError, match="is corrupted"):
        list(read_images(tmp_path / "wrong", FLAT))


def test_read_images_text_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("<html>please sign in</html>")
    with pytest.raises(UserError, match="cannot be read as a zip archive"):
        list(read_images(tmp_path / "a.zip", FLAT))


@given(method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]), data=st.data())
def test_read_images_mutated_archive_is_read_or_rejected(
    method: int, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write(tmp_path_factory.mktemp("zip") / "a.zip", "yes/é.png", content=bytes(range(200)) * 2, method=method)
    content = bytearray(path.read_bytes())
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        images = list(read_images(path, FLAT))
    except UserError:
        return
    assert all(image.label in ("tumor", "notumor") for image in images)


def test_read_images_corrupted_deflate_data_error_names_the_member(tmp_path: Path) -> None:
    """As in Kaggle's archives: in compressed data, corruption is detected before the checksum."""
    path = write(tmp_path / "a.zip", "yes/a.png", content=bytes(range(256)) * 20, method=zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    content[39] = 255  # the first byte of the compressed data, which follows 30 bytes of header and the name
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"yes/a.png is corrupted .*download it again"):
        list(read_images(path, FLAT))


def test_read_images_corrupted_content_or_directory_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", "yes/a.png", content=b"some content")
    path.write_bytes(path.read_bytes().replace(b"some content", b"some c0ntent", 1))
    with pytest.raises(UserError, match=r"yes/a.png is corrupted .*download it again"):
        list(read_images(path, FLAT))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match="cannot be read as a zip archive"):
        list(read_images(path, FLAT))


@pytest.mark.parametrize(
    ("names", "message"), [(("yes/a.png", "yes/A.PNG"), "differ only in case"), (("yes/a.png",) * 2, "occurs twice")]
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_read_images_clashing_names_are_rejected(tmp_path: Path, names: tuple[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        list(read_images(write(tmp_path / "a.zip", *names), FLAT))
