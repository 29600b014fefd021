"""Tar archives of others: which members are read, and which are rejected."""

import gzip
import random
import tarfile
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.readers.open_archive import open_archive
from brain_tumor.datasets.readers.tar_archive import TarFiles
from tar_files import make_tar

FILES = {"yes/2.png": b"two", "./no/é.png": b"", "yes/.hidden": b"x", "readme.md": b"hello"}


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def open_tar(path: Path) -> TarFiles:
    files = open_archive(path, path.parent / "scratch")
    assert isinstance(files, TarFiles)
    return files


@pytest.mark.parametrize("compression", ["", "gz", "bz2"])
def test_tar_files_any_compression_members_are_read(tmp_path: Path, compression: Literal["", "gz", "bz2"]) -> None:
    with open_tar(write(tmp_path / "a", make_tar(FILES, compression))) as files:
        assert files.names() == ["no/é.png", "readme.md", "yes/2.png"]
        assert [files.read(name) for name in files.names()] == [b"", b"hello", b"two"]
        assert list(files.left_out()) == ["yes/.hidden"]
        assert files.hint == ""
    assert not list((tmp_path / "scratch").glob("*"))


def test_tar_files_folders_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "data/yes").mkdir(parents=True)
    write(tmp_path / "data/yes/1.png", b"one")
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        archive.add(tmp_path / "data", ".")
    with open_tar(tmp_path / "a.tgz") as files:
        assert (files.names(), files.left_out()) == (["yes/1.png"], {})


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (tarfile.SYMTYPE, "a link in an archive, which is not followed"),
        (tarfile.LNKTYPE, "a link in an archive, which is not followed"),
        (tarfile.CHRTYPE, "not a regular file"),
        (tarfile.FIFOTYPE, "not a regular file"),
    ],
)
def test_tar_files_links_and_devices_are_left_out(tmp_path: Path, kind: bytes, reason: str) -> None:
    link = make_tar({"yes/link.png": b""}, type=kind, linkname="../../etc/passwd")
    with open_tar(write(tmp_path / "a", link[:512] + make_tar({"yes/1.png": b"one"}))) as files:
        assert files.names() == ["yes/1.png"]
        assert files.left_out() == {"yes/link.png": reason}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (make_tar({"../yes/a.png": b"x"}), "outside the archive: rejected"),
        (make_tar({"/yes/a.png": b"x"}), "outside the archive: rejected"),
        (make_tar({"C:/yes/a.png": b"x"}), "outside the archive: rejected"),
        (make_tar({"yes/a.png": b"x", "yes/A.PNG": b"x"}), "differ only in case: rejected"),
        (make_tar({"yes/a.png": b"x", "yes\\a.png": b"x"}), "occurs twice: rejected"),
        (make_tar({"inner.tar.gz": b"x"}), "nothing but inner.tar.gz, an archive in an archive"),
        (make_tar({"yes/a.png": bytes(2**22)}, "bz2"), "compressed more than 1000-fold: rejected"),
        (make_tar({"yes/a.png": b"x"}, "xz"), "is xz data, not a zip or tar archive: unpack it, and pack"),
        (gzip.compress(b"text" * 300, mtime=0), "cannot be read as a tar archive"),
        (make_tar({"a.png": random.Random(0).randbytes(5000)}, "gz")[:3000], "cannot be decompressed .*copy it again"),
        (make_tar({"yes/a.png": b"x" * 5000})[:3000], "cannot be read as a tar archive .*copy it again"),
    ],
)  # fmt: skip
def test_open_archive_unsafe_or_damaged_tar_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        open_archive(write(tmp_path / "a.tar.gz", content), tmp_path)
    assert "download" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]


def make_header(**changes: Any) -> bytes:
    info = tarfile.TarInfo("yes/a.png")
    for name, value in changes.items():
        setattr(info, name, value)
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (make_header(size=3 * 2**30) + bytes(1024), "cannot be read as a tar archive"),  # nothing follows
        (make_header(size=-512) + bytes(1024), "a header of -512 bytes"),
        (make_header(type=tarfile.GNUTYPE_LONGNAME, size=2**21) + bytes(2**21 + 1024), "a header of 2097152 bytes"),
        (make_header() + b"damaged" * 100 + bytes(1024), "a damaged header at byte 512"),
        (make_header() + bytes(100), "a damaged header at byte 512"),
    ],
)
def test_tar_files_impossible_header_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        TarFiles(write(tmp_path / "a", content), tmp_path, "pack it again")


def test_tar_files_negative_size_in_attributes_is_no_loop(tmp_path: Path) -> None:
    content = make_tar({"yes/1.png": b"one", "yes/2.png": b"two"}, pax_headers={"size": "-2048"})
    with pytest.raises(UserError, match="cannot be read as a tar archive"):
        TarFiles(write(tmp_path / "a", content), tmp_path, "pack it again")


def test_tar_files_member_above_the_size_limit_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a", make_tar({"yes/a.png": bytes(1000)}))
    monkeypatch.setattr("brain_tumor.datasets.readers.tar_archive.MAX_MEMBER_BYTES", 999)
    with pytest.raises(UserError, match=r"'yes/a.png' decompresses to 1,000 bytes, more than 999: rejected"):
        open_tar(path)
    monkeypatch.setattr("brain_tumor.datasets.readers.archive_limits.MAX_ARCHIVE_BYTES", 999)
    monkeypatch.setattr("brain_tumor.datasets.readers.tar_archive.MAX_MEMBER_BYTES", 1000)
    with pytest.raises(UserError, match=r"decompresses to more than .* GiB: rejected"):
        open_tar(path)


def test_tar_files_names_that_are_not_utf_8_are_hinted(tmp_path: Path) -> None:
    content = bytearray(make_tar({"xxxx/1.png": b"x"}))
    content[:4] = "正常".encode("gbk")
    content[148:156] = b"        "
    content[148:156] = b"%06o\0 " % sum(content[:512])
    with open_tar(write(tmp_path / "a", bytes(content))) as files:
        assert "such as GBK" in files.hint


@given(compression=st.sampled_from(["", "gz"]), data=st.data())
def test_tar_files_mutated_archive_is_read_or_rejected(
    compression: Literal["", "gz"], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(make_tar({"yes/é.png": bytes(range(200)), "no/" + 120 * "n": b"2"}, compression))
    for position in data.draw(st.lists(st.integers(0, min(len(content), 4000) - 1), min_size=1, max_size=3)):
        content[position] = data.draw(st.integers(0, 255))
    path = write(tmp_path_factory.mktemp("tar") / "a.tar", bytes(content))
    try:
        with open_archive(path, path.parent) as files:
            assert all(isinstance(files.read(name), bytes) for name in files.names())
    except UserError:
        return
