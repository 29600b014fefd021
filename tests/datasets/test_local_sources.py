"""Records of the local files that data sets are read from: what changes them, and what does not."""

import hashlib
import importlib
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.local_sources import (
    CLOCK_TICK_SECONDS,
    FileHashes,
    find_local_files,
    local_names,
    update_record,
)
from brain_tumor.datasets.registry import KINDS, load_images
from brain_tumor.datasets.skipped import SkippedFiles

LAYOUT: Any = {"path": "{label}/{file}", "labels": {"a": "a"}}
# One source of each kind, and the names that it searches for, in this order.
SOURCES: list[tuple[dict[str, Any], list[str]]] = [
    ({"kind": "phantom", "patients": 4, "slices": 1, "seed": 1}, []),
    ({"kind": "archive", "file": "mine.tar.gz", "layout": LAYOUT}, ["mine.tar.gz"]),
    ({"kind": "folder", "path": "more/mine", "layout": LAYOUT}, ["more/mine"]),
    ({"kind": "kaggle", "handle": "owner/slug", "version": 3, "layout": LAYOUT}, ["slug.zip"]),
    (
        {"kind": "figshare", "article": 1, "version": 1, "files": ["1.zip", "2.zip", "cvind.mat"]},
        ["1.zip", "2.zip", "cvind.mat"],
    ),
    (
        {"kind": "roboflow", "workspace": "w-1", "project": "p", "version": 2, "labels": {"a": "a"}, "background": ""},
        ["w-1-p-v2.zip"],
    ),
    ({"kind": "yolo", "path": "boxes", "labels": {"a": "a"}, "background": ""}, ["boxes"]),
    ({"kind": "yolo", "file": "boxes.zip", "labels": {"a": "a"}, "background": ""}, ["boxes.zip"]),
    ({"kind": "voc", "path": "boxes", "labels": {"a": "a"}, "background": ""}, ["boxes"]),
    ({"kind": "voc", "file": "boxes.zip", "labels": {"a": "a"}, "background": ""}, ["boxes.zip"]),
]
ARCHIVE = {"file": "mine.zip"}


class Workplace:
    """A repository `here`, with a folder `archives` for DATA_ARCHIVES beside it."""

    def __init__(self, root: Path) -> None:
        self.archives, self.here = root / "archives", root / "here"
        self.record, self.cache = self.here / "data/sources.json", self.here / "scratch/sources.json"
        self.archives.mkdir()
        self.here.mkdir()

    def add(self, name: str, content: bytes) -> Path:
        """Write a file into the folder of archives, with a time that is long past."""
        path = self.archives / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (1, 1))
        return path

    def update(self, source: dict[str, Any]) -> Any:
        """Update the record of one data set and return it."""
        update_record(self.record, find_local_files({"mine": {"source": source}}, None), self.cache)
        return json.loads(self.record.read_text())["datasets"]["mine"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    place = Workplace(tmp_path)
    monkeypatch.setenv("DATA_ARCHIVES", str(place.archives))
    monkeypatch.chdir(place.here)
    return place


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were just written count as written long ago: their change time cannot be set."""
    monkeypatch.setattr("brain_tumor.datasets.local_sources.CLOCK_TICK_SECONDS", -CLOCK_TICK_SECONDS)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose content was read."""
    names: list[str] = []
    digest = hashlib.file_digest

    def spy(file: Any, algorithm: str) -> Any:
        names.append(Path(file.name).name)
        return digest(file, algorithm)

    monkeypatch.setattr("hashlib.file_digest", spy)
    return names


def test_sources_of_all_kinds_are_tested() -> None:
    assert {source["kind"] for source, _ in SOURCES} == set(KINDS)


@pytest.mark.parametrize(("source", "names"), SOURCES[1:], ids=[names[0] for _, names in SOURCES[1:]])
def test_local_names_are_those_that_the_source_searches_for(
    source: dict[str, Any], names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"neither an archive nor a folder")
    searched: list[str] = []

    def find(name: str) -> Path:
        searched.append(name)
        return garbage

    importlib.import_module(f"brain_tumor.sources.{source['kind']}")
    for name, module in list(sys.modules.items()):
        if name.startswith("brain_tumor.") and hasattr(module, "find_local_file"):
            monkeypatch.setattr(module, "find_local_file", find)
    params = tmp_path / "params.yaml"
    params.write_text(json.dumps({"datasets": {"mine": {"source": source}}}))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError):
        next(load_images(params, "mine", tmp_path / "scratch", SkippedFiles()))
    assert searched == names == local_names(source)


def test_local_names_of_generated_images_are_none() -> None:
    assert local_names(SOURCES[0][0]) == []


@pytest.mark.parametrize("kind", ["archive", "folder", "kaggle"])
def test_local_names_contain_the_archive_of_masks(kind: str) -> None:
    (source, names) = next(each for each in SOURCES if each[0]["kind"] == kind)
    assert local_names(source | {"masks": "masks.zip"}) == [*names, "masks.zip"]
    assert local_names(source | {"masks": ""}) == names


def test_update_record_masks_of_a_study_have_entries_of_their_own(place: Workplace) -> None:
    place.add("mine.zip", b"abc")
    place.add("masks.zip", b"de")
    recipes = [{"name": "one", "masks": "masks.zip"}, {"name": "two", "masks": ""}, {"name": "three", "masks": "x.zip"}]
    datasets = {"mine": {"source": ARCHIVE}, "other": {"source": {"file": "masks.zip"}}}
    update_record(place.record, find_local_files(datasets, {"recipes": recipes}), place.cache)
    record = json.loads(place.record.read_text())
    sizes = {
        block: {key: {name: one["bytes"] for name, one in files.items()} for key, files in of.items()}
        for block, of in record.items()
    }
    assert sizes == {
        "datasets": {"mine": {"mine.zip": 3}, "other": {"masks.zip": 2}},
        "localization": {"one": {"masks.zip": 2}, "two": {}, "three": {}},
    }


@pytest.mark.parametrize("study", [None, [], {}, {"recipes": 1}, {"recipes": ["a"]}, {"recipes": [{"masks": 5}]}])
@pytest.mark.parametrize("datasets", [None, [], {"a": 1}, {"a": {"source": "x"}}, {"a": {}}, {1: {"source": {}}}])
def test_find_local_files_invalid_parameters_are_left_to_those_that_check_them(datasets: Any, study: Any) -> None:
    found = find_local_files(datasets, study)
    assert not any(files for block in found.values() for files in block.values())


def test_update_record_archive_that_cannot_be_read_keeps_its_entry_with_a_warning(
    place: Workplace, caplog: pytest.LogCaptureFixture
) -> None:
    archive = place.add("mine.zip", b"abc")
    first = place.update(ARCHIVE)
    archive.unlink()
    os.mkfifo(archive)
    assert place.update(ARCHIVE) == first
    assert f"{archive} cannot be read: not a regular file" in caplog.text
    place.record.unlink()
    assert place.update(ARCHIVE) == {}


@pytest.mark.parametrize("source", [{}, {"handle": 5}, {"files": "a.zip"}, {"files": [1]}, {"file": None, "path": []}])
def test_local_names_of_invalid_parameters_are_left_to_the_download(source: dict[str, Any]) -> None:
    assert local_names(source) == []


def test_update_record_archive_has_size_and_sum_and_nothing_of_the_machine(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.add("mine.zip", b"abc")
    assert place.update(ARCHIVE) == {"mine.zip": {"bytes": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}}
    elsewhere = place.archives / "again"
    elsewhere.mkdir()
    text = place.record.read_text()
    (place.archives / "mine.zip").rename(elsewhere / "mine.zip")
    monkeypatch.setenv("DATA_ARCHIVES", f"{place.archives}{os.pathsep}{elsewhere}")
    place.record.unlink()
    place.update(ARCHIVE)
    assert place.record.read_text() == text


def test_update_record_replaced_archive_changes_it_and_touched_one_does_not(
    place: Workplace, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    archive = place.add("mine.zip", b"abc")
    first = place.update(ARCHIVE)
    assert caplog.messages == [f"{archive} is new"]
    written = place.record.stat().st_mtime_ns
    archive.touch()
    assert place.update(ARCHIVE) == first
    assert place.record.stat().st_mtime_ns == written, "not even written again"
    archive.write_bytes(b"abd")  # of the same size
    assert place.update(ARCHIVE)["mine.zip"]["sha256"] == hashlib.sha256(b"abd").hexdigest()
    assert caplog.messages == [f"{archive} is new", f"{archive} has changed"]


def test_update_record_what_is_not_on_this_machine_keeps_its_entry(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("1.zip", "2.zip", "cvind.mat"):
        place.add(name, name.encode())
    source = {"files": ["1.zip", "2.zip", "cvind.mat"]}
    first = place.update(source)
    (place.archives / "1.zip").unlink()
    assert place.update(source) == first
    place.add("2.zip", b"other")
    second = place.update(source)
    assert [name for name in first if first[name] != second[name]] == ["2.zip"]
    known = place.cache.read_bytes() if place.cache.exists() else b""
    monkeypatch.delenv("DATA_ARCHIVES")
    assert place.update(source) == second
    assert (place.cache.read_bytes() if place.cache.exists() else b"") == known
    assert place.update({"files": ["2.zip"]}) == {"2.zip": second["2.zip"]}, "params.yaml names the others no more"


@pytest.mark.parametrize("source", [SOURCES[0][0], SOURCES[3][0]], ids=["generated", "downloaded"])
def test_update_record_data_set_that_was_never_local_is_empty(place: Workplace, source: dict[str, Any]) -> None:
    assert place.update(source) == {}
    assert not place.cache.exists()


def test_update_record_folder_changes_with_contents_and_names_of_visible_files(place: Workplace) -> None:
    source = {"path": "mine"}
    for name, content in (("a/1.png", b"1"), ("a/2.png", b"22"), ("b/3.png", b"3")):
        place.add(f"mine/{name}", content)
    records = [place.update(source)["mine"]]
    assert {key: records[0][key] for key in ("bytes", "files")} == {"bytes": 4, "files": 3}

    def changed() -> bool:
        records.append(place.update(source)["mine"])
        return bool(records[-1] != records[-2])

    assert not changed()
    for name in ("a/.DS_Store", "__MACOSX/1.png", ".git/HEAD"):
        place.add(f"mine/{name}", b"hidden")
    assert not changed()
    place.add("mine/a/1.png", b"4")
    assert changed()
    (place.archives / "mine/a/1.png").rename(place.archives / "mine/b/1.png")
    assert changed(), "the folder is the label"
    place.add("mine/b/notes.txt", b"")
    assert changed()
    (place.archives / "mine/b/3.png").unlink()
    assert changed()
    shutil.copytree(place.archives / "mine", place.here / "mine")
    place.add("mine/b/4.png", b"only in DATA_ARCHIVES")
    assert not changed(), "a folder in the repository comes first, as for the download"
    (place.here / "mine/b/notes.txt").unlink()
    assert changed()


def test_update_record_folder_with_unreadable_files_is_recorded_and_a_repair_noticed(place: Workplace) -> None:
    place.add("mine/a/1.png", b"1")
    link = place.archives / "mine/a/2.png"
    link.symlink_to("missing.png")
    os.mkfifo(place.archives / "mine/a/3.png")  # reading it would wait forever
    first = place.update({"path": "mine"})["mine"]
    assert (first["files"], first["bytes"]) == (3, 1)
    place.add("mine/a/missing.png", b"22")
    link.unlink()
    (place.archives / "mine/a/missing.png").rename(link)
    second = place.update({"path": "mine"})["mine"]
    assert (second["files"], second["bytes"]) == (3, 3)
    assert second["sha256"] != first["sha256"]


NAMES = st.text(st.sampled_from("ab/é\n"), min_size=1, max_size=5).filter(
    lambda name: all(name.split("/")) and name != "/"
)
TREES = st.dictionaries(NAMES, st.binary(max_size=2), max_size=4)


@given(one=TREES, other=TREES)
def test_describe_folder_is_equal_exactly_if_names_and_contents_are(
    one: dict[str, bytes], other: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    records, trees = [], []
    for tree in (one, other):
        folder, written = tmp_path_factory.mktemp("tree"), {}
        for name, content in tree.items():
            try:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
                written[name] = content
            except OSError:  # a file has the name of a folder
                continue
        records.append(FileHashes(folder / "cache").describe_folder(folder))
        trees.append(written)
        shutil.rmtree(folder)
    assert (records[0] == records[1]) == (trees[0] == trees[1])


@pytest.mark.usefixtures("later")
def test_update_record_unchanged_files_are_not_read_again(place: Workplace, hashed: list[str]) -> None:
    for number in range(3):
        place.add(f"mine/{number}.png", b"%d" % number)
    first = place.update({"path": "mine"})
    assert sorted(hashed) == ["0.png", "1.png", "2.png"]
    hashed.clear()
    assert place.update({"path": "mine"}) == first
    assert hashed == []
    time.sleep(0.05)  # longer than a tick of the clock for change times
    place.add("mine/1.png", b"9")  # same size and modification time, in place
    assert place.update({"path": "mine"}) != first
    assert hashed == ["1.png"]


def test_update_record_file_written_just_now_is_read_again(
    place: Workplace, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brain_tumor.datasets.local_sources.CLOCK_TICK_SECONDS", 3600)
    place.add("mine.zip", b"abc")
    for count in (1, 2):
        place.update(ARCHIVE)
        assert hashed == ["mine.zip"] * count


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("content", [b"", b"\xff", b"[1]", b'{"/x": 1}', b'{"KEY": []}', b'{"KEY": null}'])
def test_update_record_broken_cache_is_made_again(place: Workplace, hashed: list[str], content: bytes) -> None:
    archive = place.add("mine.zip", b"abc")
    first = place.update(ARCHIVE)
    valid = place.cache.read_bytes()
    place.cache.write_bytes(content.replace(b"KEY", str(archive).encode()))
    assert place.update(ARCHIVE) == first
    assert hashed == ["mine.zip"] * 2
    assert place.cache.read_bytes() == valid


@pytest.mark.parametrize("content", ["", "<<<<<<< HEAD\n{}\n=======\n", "[]"])
def test_update_record_invalid_record_is_an_error(place: Workplace, content: str) -> None:
    place.add("mine.zip", b"abc")
    place.record.parent.mkdir(parents=True)
    place.record.write_text(content)
    with pytest.raises(UserError, match=r"sources\.json is not valid: restore it with `git checkout "):
        place.update(ARCHIVE)
    assert place.record.read_text() == content


def test_update_record_data_archives_without_folder_is_an_error(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_ARCHIVES", str(place.archives / "nowhere"))
    with pytest.raises(UserError, match="nowhere, which is not a folder"):
        place.update(ARCHIVE)
    assert place.update(SOURCES[0][0]) == {}, "generated images need no archives"


def test_update_record_stopped_while_writing_keeps_the_old_record(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.add("mine.zip", b"abc")
    first = place.update(ARCHIVE)
    place.add("mine.zip", b"abcd")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: sys.exit("killed"))
        with pytest.raises(SystemExit):
            place.update(ARCHIVE)
    assert json.loads(place.record.read_text())["datasets"]["mine"] == first
    assert list(place.here.rglob("*.partial"))
    assert place.update(ARCHIVE)["mine.zip"]["bytes"] == 4
    assert not list(place.here.rglob("*.partial"))
