"""Exports of Roboflow, and exports as nobody should make them."""

import json
import random
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from roboflow_service import (
    EXPORT,
    FOLDERS,
    FOUND,
    NAME,
    SETTINGS,
    SOURCE,
    annotations,
    content_of,
    make_zip,
    members,
    summary,
)

from brain_tumor import archive, params
from brain_tumor.archive import RawImage
from brain_tumor.errors import UserError
from brain_tumor.sources.roboflow import Source, coco
from brain_tumor.sources.roboflow.coco import ANNOTATIONS, Box, as_text, main_category


def read(tmp_path: Path, content: bytes, **changes: Any) -> list[RawImage]:
    """Read an export from a file."""
    path = tmp_path / NAME
    path.write_bytes(content)
    settings = SOURCE.model_copy(update=changes)
    return list(coco.read(path, settings.splits, settings.labels, settings.background))


def test_a_second_run_writes_the_same_bytes(tmp_path: Path) -> None:
    shuffled = make_zip(dict(reversed(members(FOLDERS).items())))
    for name, content in (("first", EXPORT), ("second", shuffled)):
        archive.write(tmp_path / name, iter(read(tmp_path, content)))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_background_may_be_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert summary(read(tmp_path, EXPORT, background="")) == FOUND[:2]
    assert "images without boxes, left out: 1" in caplog.text


def test_splits_say_which_folders_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = read(tmp_path, EXPORT, splits={"test": "", "extra": "test"})
    assert summary(found) == [("test/d.jpg", "glioma", "", "1 2 3 4")]
    assert "has no folder extra" in caplog.text


def test_files_that_are_not_listed_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    extra = {"train/z.jpg": b"z", f"train/{ANNOTATIONS}.bak": b"z", "train/deep/y.jpg": b"y"}
    assert summary(read(tmp_path, make_zip(members(FOLDERS) | extra))) == FOUND
    assert "lists, left out: 2" in caplog.text


BOX = st.builds(
    Box, st.sampled_from(["a", "b", "c"]), *[st.floats(0, coco.LONGEST) | st.integers(0, 30).map(float)] * 4
)


@given(st.lists(BOX, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_the_largest_total_area_wins_whatever_the_order(boxes: list[Box], chance: random.Random) -> None:
    shuffled = chance.sample(boxes, len(boxes))
    winner = main_category(boxes)
    assert winner == main_category(shuffled)
    assert as_text(boxes) == as_text(shuffled)
    areas = {name: sum(box.width * box.height for box in boxes if box.category == name) for name in "abc"}
    assert areas[winner] == pytest.approx(max(areas.values()))
    for text in as_text(boxes).split(";"):
        left, top, width, height = map(int, text.split(" "))
        assert left >= 0 <= top
        assert width >= 1 <= height


def test_equal_areas_go_to_the_first_name() -> None:
    assert main_category([Box("b", 0, 0, 6, 2), Box("a", 5, 5, 3, 2), Box("a", 0, 0, 2, 3)]) == "a"


def alter(place: str, value: Any) -> bytes:
    """The export with one value of train's JSON file changed; `place` is its keys, joined by dots."""
    content = annotations(FOLDERS["train"])
    *keys, last = [int(key) if key.isdigit() else key for key in place.split(".")]
    part: Any = content
    for key in keys:
        part = part[key]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return make_zip(members(FOLDERS) | {f"train/{ANNOTATIONS}": json.dumps(content).encode()})


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        *((f"annotations.1.bbox.{i}", -1, "greater than or equal to 0") for i in range(4)),
        ("annotations.1.bbox.0", float("nan"), "finite number"),
        ("annotations.1.bbox.2", float("inf"), "finite number"),
        ("annotations.1.bbox.2", 1e6, "less than or equal to 100000"),
        ("annotations.1.bbox.2", 10**400, "finite number"),
        ("annotations.1.bbox.2", "10", "valid number"),
        ("annotations.1.bbox.2", True, "valid number"),
        ("annotations.1.bbox", [1, 2, 3], "annotations.1.bbox.3: Field required"),
        ("annotations.1.bbox", {}, "valid array"),
        ("annotations.1.bbox", None, "Field required"),
        ("annotations.1.image_id", 99, "unknown image, 99"),
        ("annotations.1.image_id", "1", "valid integer"),
        ("annotations.1.category_id", 99, "unknown category, 99"),
        ("annotations.1.category_id", None, "Field required"),
        ("annotations", None, "annotations: Field required"),
        ("images", {}, "images: Input should be a valid array"),
        ("categories", None, "categories: Field required"),
        ("categories.1.id", 2, "lists category '2' 2 times"),
        ("categories.1.name", 5, "valid string"),
        ("images.0.id", 1, "lists image '1' 2 times"),
        ("images.0.id", 0.5, "valid integer"),
        ("images.0.file_name", "a.jpg", "lists file 'a.jpg' 2 times"),
        *(
            ("images.0.file_name", name, "no name of an image file: refused")
            for name in ("", ".", "..", "../b.jpg", "/b.jpg", "x/b.jpg", "..\\b.jpg", "b\0.jpg", ANNOTATIONS)
        ),
    ],
)
def test_broken_annotations_are_named(tmp_path: Path, place: str, value: Any, words: str) -> None:
    with pytest.raises(UserError, match=rf"{NAME}: train/{ANNOTATIONS}.*{words}"):
        read(tmp_path, alter(place, value))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 10**5, b'{"images": "\\ud800"}'])
def test_broken_json_is_named(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(UserError, match=f"{NAME}: train/{ANNOTATIONS} is not COCO"):
        read(tmp_path, make_zip(members(FOLDERS) | {f"train/{ANNOTATIONS}": text}))


def test_listed_image_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{NAME}: train/gone.jpg is listed, but not in the archive"):
        read(tmp_path, alter("images.0.file_name", "gone.jpg"))


@pytest.mark.parametrize("name", ["train/a.jpg", f"train/{ANNOTATIONS}"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_same_file_twice(tmp_path: Path, name: str) -> None:
    content = make_zip(members(FOLDERS), (name, members(FOLDERS)[name]))
    with pytest.raises(UserError, match=f"{NAME}: {name} is there twice"):
        read(tmp_path, content)


def test_folder_without_annotations(tmp_path: Path) -> None:
    content = members(FOLDERS)
    del content[f"valid/{ANNOTATIONS}"]
    with pytest.raises(UserError, match=f"{NAME}: valid holds c.jpg, but no {ANNOTATIONS}"):
        read(tmp_path, make_zip(content))
    with pytest.raises(UserError, match=f"{NAME} holds no {ANNOTATIONS} in a folder"):
        read(tmp_path, make_zip({"train/a.jpg": b"x"}))


def test_label_of_an_unknown_category(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{NAME} has no category 'lable0'.*'label0', 'label1'"):
        read(tmp_path, EXPORT, labels={"lable0": "glioma"})


def test_nothing_that_gets_a_label(tmp_path: Path) -> None:
    content = make_zip(members({"test": {"d.jpg": []}}))
    with pytest.raises(UserError, match=f"{NAME} holds no image that gets a label"):
        read(tmp_path, content, background="")


def link() -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("train/link.jpg")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


def bomb() -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("train/bomb.jpg")
    member.compress_type = zipfile.ZIP_BZIP2
    return member


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no zip at all", "cannot be read as a zip archive"),
        (EXPORT[:-30], "cannot be read as a zip archive"),
        (EXPORT.replace(content_of("a.jpg")[:9], b"wrongggg."), "train/a.jpg is damaged"),
        (EXPORT.replace(b'"contributor"', b'"contributer"', 1), f"train/{ANNOTATIONS} is damaged"),
        (make_zip({}, ("../a.jpg", b"")), r"'\.\./a.jpg' points outside"),
        (make_zip({}, ("/train/a.jpg", b"")), "'/train/a.jpg' points outside"),
        (make_zip({}, (link(), b"/etc/passwd")), "'train/link.jpg' is a link"),
        (make_zip({}, (bomb(), bytes(2**24))), "'train/bomb.jpg' is compressed over 1000-fold"),
    ],
)
def test_unsafe_and_damaged_archives_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(UserError, match=f"{NAME}.*{words}"):
        read(tmp_path, content)


@given(data=st.data())
def test_mutated_exports_are_read_or_refused(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    content = bytearray(EXPORT)
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    try:
        found = read(tmp_path_factory.mktemp("export"), bytes(content))
    except UserError:
        return
    assert all(image.label in ("glioma", "meningioma", "notumor") for image in found)


@pytest.mark.parametrize(
    "change",
    [
        {"workspace": "../up"},
        {"project": "a/b"},
        {"project": ""},
        {"version": 0},
        {"version": "3"},
        {"labels": {}},
        {"labels": {"label0": ""}},
        {"splits": {"train": "validation"}},
        {"splits": {"a/b": "train"}},
        {"splits": {}},
        {"background": None},
        {"extra": 1},
    ],
)
def test_impossible_parameters_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(json.dumps({"source": SETTINGS}))  # JSON is YAML
    assert params.read(file, "source", Source) == SOURCE
    file.write_text(json.dumps({"source": SETTINGS | change}))
    with pytest.raises(UserError, match=next(iter(change))):
        params.read(file, "source", Source)
