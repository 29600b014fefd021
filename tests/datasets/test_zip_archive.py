"""Zip archives of others: which members are read, and which are rejected."""

import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.layout import Layout
from brain_tumor.datasets.readers.zip_archive import ZipFiles
from brain_tumor.datasets.skipped import SkippedFiles
from layout_reading import read_images as read_images_of
from tar_files import make_tar

FLAT = Layout(path="{label}/{file}", labels={"yes": "tumor"})


def read_images(path: Path, layout: Layout) -> list[RawImage]:
    return list(read_images_of(path, layout, SkippedFiles()))


def write(path: Path, *names: str | zipfile.ZipInfo, content: bytes = b"x", method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name in names:
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("name", ["../yes/a.png", "/yes/a.png", "yes/../../a.png", "..\\yes\\a.png", "C:/yes/a.png"])
def test_read_images_path_outside_the_archive_is_rejected(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="outside the archive: rejected"):
        read_images(write(tmp_path / "a.zip", "yes/b.png", name), FLAT)


def test_read_images_member_without_a_name_is_rejected(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", "yes/1.png", "/")
    with pytest.raises(UserError, match="a member without a name"):
        read_images(path, FLAT)


def test_read_images_link_is_rejected(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("yes/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(UserError, match=r"'yes/link.png' is a link or a device"):
        read_images(write(tmp_path / "a.zip", link), FLAT)


def test_read_images_extreme_compression_is_rejected(tmp_path: Path) -> None:
    bomb = write(tmp_path / "a.zip", "yes/a.png", content=bytes(2**24), method=zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match=r"'yes/a.png' is compressed more than 1000-fold"):
        read_images(bomb, FLAT)


def test_zip_files_member_above_the_size_limit_is_rejected(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", "yes/a.png", content=bytes(1000))
    with pytest.raises(UserError, match=r"'yes/a.png' decompresses to 1,000 bytes, more than 999: rejected"):
        ZipFiles(path, max_member_bytes=999)
    with ZipFiles(path, max_member_bytes=1000) as files:
        assert files.read("yes/a.png") == bytes(1000)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_read_images_unsupported_compression_is_rejected(tmp_path: Path, method: int) -> None:
    with pytest.raises(UserError, match=r"'yes/a.png' has an unsupported compression: repack with deflate"):
        read_images(write(tmp_path / "a.zip", "yes/a.png", method=method), FLAT)


def test_read_images_too_large_or_wrong_size_is_rejected(tmp_path: Path) -> None:
    for name, size in (("huge", 2 * 2**30), ("wrong", 10)):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(33):
                archive.writestr(f"yes/{number}.png", bytes(1000))
            for member in archive.infolist():  # the directory, which is written on closing, has wrong sizes
                member.file_size, member.compress_size = size, max(size, member.compress_size)
    with pytest.raises(UserError, match="decompresses to more than 64 GiB"):
        read_images(tmp_path / "huge", FLAT)
    with pytest.raises(UserError, match="is corrupted"):
        read_images(tmp_path / "wrong", FLAT)


def test_zip_files_folder_error_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "brain.zip").mkdir()
    with pytest.raises(UserError, match=r"brain.zip is a folder, not a zip archive: pack the files as a zip archive"):
        ZipFiles(tmp_path / "brain.zip")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (make_tar({"a": b"1"}, "gz"), "is a tar.gz archive, not a zip archive: unpack it, and pack the files as a zip"),
        (make_tar({"a": b"1"}), "is a tar archive, not a zip archive: unpack it"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(99), "is a 7z archive, not a zip archive: unpack it"),
        (b"Rar!\x1a\x07" + bytes(99), "is a RAR archive, not a zip archive: unpack it"),
        (b"<html>please sign in</html>", "is a web page, not a zip archive: save the archive itself under this name"),
        (b"\xff\xd8\xff\xe0" + bytes(99), "is an image, not a zip archive: save the archive itself"),
    ],
    ids=["tar.gz", "tar", "7z", "rar", "html", "jpeg"],  # the bytes of a tar.gz archive change with the time
)
def test_zip_files_other_content_error_says_what_it_is(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        ZipFiles(tmp_path / "a.zip")
    assert "download it again" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\0\1\2\3" * 30, b"PK\x03\x04" + bytes(99)])
def test_zip_files_damaged_archive_is_to_be_downloaded_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"cannot be read as a zip archive \(.*\): download it again"):
        ZipFiles(tmp_path / "a.zip")


def test_read_images_text_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("<html>please sign in</html>")
    with pytest.raises(UserError, match=r"is a web page, not a zip archive: save the archive itself"):
        read_images(tmp_path / "a.zip", FLAT)


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
        images = read_images(path, FLAT)
    except UserError:
        return
    assert all(image.label == "tumor" for image in images)


def test_read_images_corrupted_deflate_data_error_names_the_member(tmp_path: Path) -> None:
    """As in Kaggle's archives: in compressed data, corruption is detected before the checksum."""
    path = write(tmp_path / "a.zip", "yes/a.png", content=bytes(range(256)) * 20, method=zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    content[39] = 255  # the first byte of the compressed data, which follows 30 bytes of header and the name
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"yes/a.png is corrupted .*download it again"):
        read_images(path, FLAT)


def test_read_images_corrupted_content_or_directory_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", "yes/a.png", content=b"some content")
    path.write_bytes(path.read_bytes().replace(b"some content", b"some c0ntent", 1))
    with pytest.raises(UserError, match=r"yes/a.png is corrupted .*download it again"):
        read_images(path, FLAT)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match=r"\(a zip archive whose end is missing or damaged\)"):
        read_images(path, FLAT)


@pytest.mark.parametrize(
    ("names", "message"), [(("yes/a.png", "yes/A.PNG"), "differ only in case"), (("yes/a.png",) * 2, "occurs twice")]
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_read_images_clashing_names_are_rejected(tmp_path: Path, names: tuple[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_images(write(tmp_path / "a.zip", *names), FLAT)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zip_files_text_files_whose_names_differ_in_case_are_read(tmp_path: Path) -> None:
    with ZipFiles(write(tmp_path / "a.zip", "README.md", "readme.md", "yes/1.png")) as files:
        assert files.names() == ["README.md", "readme.md", "yes/1.png"]
    with pytest.raises(UserError, match=r"README.md occurs twice"):
        ZipFiles(write(tmp_path / "b.zip", "README.md", "README.md"))


def test_zip_files_backslashes_and_dots_are_those_of_a_path(tmp_path: Path) -> None:
    with ZipFiles(write(tmp_path / "a.zip", "yes\\", "yes\\1.png", "./yes/2.png", content=b"")) as files:
        assert files.names() == ["yes/1.png", "yes/2.png"]
        assert files.left_out() == {}
        assert files.read("yes/1.png") == b""


def test_zip_files_hidden_members_are_left_out_with_the_reason(tmp_path: Path) -> None:
    with ZipFiles(write(tmp_path / "a.zip", "yes/1.png", "yes/.DS_Store", "__MACOSX/yes/._1.png")) as files:
        assert files.names() == ["yes/1.png"]
        assert set(files.left_out()) == {"yes/.DS_Store", "__MACOSX/yes/._1.png"}


def write_undeclared(path: Path, name: str, encoding: str) -> Path:
    """Write an archive whose member has a name in an encoding that it does not state."""
    raw = name.encode(encoding)
    stand_in = "x" * len(raw)
    write(path, stand_in)
    path.write_bytes(path.read_bytes().replace(stand_in.encode(), raw))
    return path


def test_zip_files_undeclared_encoding_utf_8_is_read_and_others_are_hinted(tmp_path: Path) -> None:
    with ZipFiles(write_undeclared(tmp_path / "a.zip", "正常/1.png", "utf-8")) as files:
        assert files.names() == ["正常/1.png"]
        assert files.read("正常/1.png") == b"x"
        assert files.hint == ""
    with ZipFiles(write_undeclared(tmp_path / "b.zip", "正常/1.png", "gbk")) as files:
        assert files.names() != ["正常/1.png"]
        assert "such as GBK" in files.hint
    with ZipFiles(write(tmp_path / "c.zip", "正常/1.png")) as files:
        assert files.hint == ""


def test_zip_files_password_error_says_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", "yes/1.png")
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flag in the header of the member
    content[content.index(b"PK\x01\x02") + 8] |= 1  # and in the directory
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"protected by a password: unpack it with the password") as caught:
        ZipFiles(path)
    assert "again" in str(caught.value)
    assert "download" not in str(caught.value)


def test_zip_files_archive_of_archives_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing but a.zip and 1 more, an archive in an archive: unpack it once"):
        ZipFiles(write(tmp_path / "a.zip", "a.zip", "b.tar.gz", "__MACOSX/._a.zip"))
    assert ZipFiles(write(tmp_path / "b.zip", "a.zip", "1.png")).names() == ["1.png", "a.zip"]
