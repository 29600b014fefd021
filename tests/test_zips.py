"""Archives that somebody else made: what counts, and what is refused."""

import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from brain_tumor.errors import UserError
from brain_tumor.on_disk import find_on_disk
from brain_tumor.zips import Layout, ZipFiles, read_images

FLAT = Layout(path="{label}/{file}", labels={"yes": "tumor", "no": "notumor"})
SPLIT = Layout(path="{split}/{label}/{file}", labels={"yes": "tumor"}, splits={"Training": "train", "Testing": "test"})


def make(path: Path, *names: str | zipfile.ZipInfo, content: bytes = b"x", method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name in names:
            archive.writestr(name, content)
    return path


def test_only_what_fits_the_layout_counts(tmp_path: Path) -> None:
    names = ["yes/b.JPG", "no/a b.png", ".", "brain/yes/b.JPG", "maybe/c.png", "yes/", "readme.txt"]
    found = [(i.path, i.label, i.split) for i in read_images(make(tmp_path / "a.zip", *names), FLAT)]
    assert found == [("no/a b.png", "notumor", ""), ("yes/b.JPG", "tumor", "")]


def test_published_splits_come_from_the_folders(tmp_path: Path) -> None:
    names = ["Training/yes/1.png", "Testing/yes/1.png", "Training/no/2.png", "Other/yes/3.png"]
    found = [(i.path, i.label, i.split) for i in read_images(make(tmp_path / "a.zip", *names), SPLIT)]
    assert found == [("Testing/yes/1.png", "tumor", "test"), ("Training/yes/1.png", "tumor", "train")]


def test_nothing_that_fits_is_an_error_that_shows_some_names(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no file of the form \{label\}/\{file\} \(it has data/x.png"):
        list(read_images(make(tmp_path / "a.zip", "data/x.png"), FLAT))


@pytest.mark.parametrize("name", ["../yes/a.png", "/yes/a.png", "yes/../../a.png", "..\\yes\\a.png", "C:/yes/a.png"])
def test_paths_that_lead_outside_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="outside the archive: refused"):
        list(read_images(make(tmp_path / "a.zip", "yes/b.png", name), FLAT))


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "{file}"},
        {"path": "{label}"},
        {"path": "{split}/{label}/{file}"},
        {"splits": {"a": "test"}},
        pytest.param(
            {"path": "{label}/{label}/{file}"},
        ),
    ],
)
def test_a_layout_without_what_it_needs_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Layout.model_validate({"path": "{label}/{file}", "labels": {"yes": "tumor"}} | changes)


def test_hidden_files_are_no_images_and_what_does_not_fit_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    names = ["yes/1.png", "yes/.DS_Store", "yes/._1.png", "__MACOSX/yes/1.png", "yes/deep/2.png", "maybe/3.png"]
    assert [image.path for image in read_images(make(tmp_path / "a.zip", *names), FLAT)] == ["yes/1.png"]
    assert "2 files are left out, as they do not fit {label}/{file} (maybe/3.png, …)" in caplog.text


def test_a_member_without_a_name_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "a.zip", "yes/1.png", "/")
    with pytest.raises(UserError, match="a member without a name"):
        list(read_images(path, FLAT))


def test_links_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("yes/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(UserError, match=r"'yes/link.png' is a link or a device"):
        list(read_images(make(tmp_path / "a.zip", link), FLAT))


def test_bombs_are_refused(tmp_path: Path) -> None:
    bomb = make(tmp_path / "a.zip", "yes/a.png", content=bytes(2**24), method=zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match=r"'yes/a.png' is compressed over 1000-fold"):
        list(read_images(bomb, FLAT))


def test_members_have_a_limit_of_their_own(tmp_path: Path) -> None:
    path = make(tmp_path / "a.zip", "yes/a.png", content=bytes(1000))
    with pytest.raises(UserError, match=r"'yes/a.png' unpacks to 1,000 bytes, over 999: refused"):
        ZipFiles(path, largest=999)
    with ZipFiles(path, largest=1000) as files:
        assert files.read("yes/a.png") == bytes(1000)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_to_more_than_they_say_are_refused(tmp_path: Path, method: int) -> None:
    with pytest.raises(UserError, match=r"'yes/a.png' is compressed by another method"):
        list(read_images(make(tmp_path / "a.zip", "yes/a.png", method=method), FLAT))


def test_sizes_are_limited_in_all_and_not_believed(tmp_path: Path) -> None:
    for name, size in (("huge", 2 * 2**30), ("lie", 10)):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(33):
                archive.writestr(f"yes/{number}.png", bytes(1000))
            for member in archive.infolist():  # the directory that is written on closing now tells lies
                member.file_size, member.compress_size = size, max(size, member.compress_size)
    with pytest.raises(UserError, match="unpacks to more than 64 GiB"):
        list(read_images(tmp_path / "huge", FLAT))
    with pytest.raises(UserError, match="is damaged"):
        list(read_images(tmp_path / "lie", FLAT))


def test_a_text_file_is_no_zip(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("<html>please sign in</html>")
    with pytest.raises(UserError, match="cannot be read as a zip archive"):
        list(read_images(tmp_path / "a.zip", FLAT))


@given(method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]), data=st.data())
def test_mutated_archives_are_read_or_refused(
    method: int, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = make(tmp_path_factory.mktemp("zip") / "a.zip", "yes/é.png", content=bytes(range(200)) * 2, method=method)
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        found = list(read_images(path, FLAT))
    except UserError:
        return
    assert all(image.label in ("tumor", "notumor") for image in found)


def test_a_damaged_member_of_a_compressed_archive_is_named(tmp_path: Path) -> None:
    """As Kaggle's archives are: compressed, where damage shows before the checksum does."""
    path = make(tmp_path / "a.zip", "yes/a.png", content=bytes(range(256)) * 20, method=zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    content[39] = 255  # the first byte of the compressed data, which follows 30 bytes of header and the name
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"yes/a.png is damaged .*download it again"):
        list(read_images(path, FLAT))


def test_damage_is_named(tmp_path: Path) -> None:
    path = make(tmp_path / "a.zip", "yes/a.png", content=b"some content")
    path.write_bytes(path.read_bytes().replace(b"some content", b"some c0ntent", 1))
    with pytest.raises(UserError, match=r"yes/a.png is damaged .*download it again"):
        list(read_images(path, FLAT))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match="cannot be read as a zip archive"):
        list(read_images(path, FLAT))


def test_archives_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATA_ARCHIVES", raising=False)
    assert find_on_disk("a.zip") is None
    (tmp_path / "empty").mkdir()
    make(tmp_path / "a.zip", "yes/a.png")
    monkeypatch.setenv("DATA_ARCHIVES", f"{tmp_path / 'empty'}:{tmp_path}")
    assert find_on_disk("a.zip") == tmp_path / "a.zip"
    assert find_on_disk("b.zip") is None
    monkeypatch.setenv("DATA_ARCHIVES", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="nowhere, which is no folder"):
        find_on_disk("a.zip")


@pytest.mark.parametrize(
    ("names", "says"), [(("yes/a.png", "yes/A.PNG"), "differ in nothing but case"), (("yes/a.png",) * 2, "twice")]
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_clash_are_refused(tmp_path: Path, names: tuple[str, str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        list(read_images(make(tmp_path / "a.zip", *names), FLAT))
