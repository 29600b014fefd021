"""Reading exports of Roboflow, valid and invalid ones."""

import json
import random
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain_tumor.core import params
from brain_tumor.core.errors import UserError
from brain_tumor.datasets import raw_archive
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.imaging.boxes import format_boxes, parse_boxes
from brain_tumor.sources.roboflow import Source, coco
from brain_tumor.sources.roboflow.coco import ANNOTATIONS, CategoryBox, main_category, round_box
from roboflow_service import (
    EXPORT,
    FOLDERS,
    NAME,
    SETTINGS,
    SOURCE,
    SUMMARY,
    make_annotations,
    make_content,
    make_members,
    make_zip,
    summarize,
)


def read(tmp_path: Path, content: bytes, **changes: Any) -> list[RawImage]:
    """Read an export from a file."""
    path = tmp_path / NAME
    path.write_bytes(content)
    settings = SOURCE.model_copy(update=changes)
    return list(coco.read_export(path, settings.splits, settings.labels, settings.background))


def test_read_export_any_order_of_members_gives_the_same_archive(tmp_path: Path) -> None:
    shuffled = make_zip(dict(reversed(make_members(FOLDERS).items())))
    for name, content in (("first", EXPORT), ("second", shuffled)):
        raw_archive.write_archive(tmp_path / name, iter(read(tmp_path, content)))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_read_export_empty_background_drops_images_without_boxes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert summarize(read(tmp_path, EXPORT, background="")) == SUMMARY[:2]
    assert "images without boxes, ignored: 1" in caplog.text


def test_read_export_only_folders_in_splits_are_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = read(tmp_path, EXPORT, splits={"test": "", "extra": "test"})
    assert summarize(images) == [("test/d.jpg", "glioma", "", "1 2 3 4")]
    assert "has no folder extra" in caplog.text


def test_read_export_unlisted_files_are_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    extra = {"train/z.jpg": b"z", f"train/{ANNOTATIONS}.bak": b"z", "train/deep/y.jpg": b"y"}
    assert summarize(read(tmp_path, make_zip(make_members(FOLDERS) | extra))) == SUMMARY
    assert f"files that are not listed in {ANNOTATIONS}, ignored: 2" in caplog.text


BOXES = st.builds(
    CategoryBox,
    st.sampled_from(["a", "b", "c"]),
    *[st.floats(0, coco.MAX_BOX_PIXELS) | st.integers(0, 30).map(float)] * 4,
)


@given(st.lists(BOXES, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_main_category_any_order_has_the_largest_total_area(boxes: list[CategoryBox], chance: random.Random) -> None:
    category = main_category(boxes)
    assert category == main_category(chance.sample(boxes, len(boxes)))
    areas = {name: sum(box.width * box.height for box in boxes if box.category == name) for name in "abc"}
    assert areas[category] == pytest.approx(max(areas.values()))


@given(BOXES)
def test_round_box_any_box_has_at_least_one_pixel(box: CategoryBox) -> None:
    left, top, width, height = round_box(box)
    assert left >= 0 <= top
    assert width >= 1 <= height
    assert parse_boxes(format_boxes([round_box(box)])) == [(left, top, width, height)]


def test_main_category_equal_areas_give_the_first_name() -> None:
    boxes = [CategoryBox("b", 0, 0, 6, 2), CategoryBox("a", 5, 5, 3, 2), CategoryBox("a", 0, 0, 2, 3)]
    assert main_category(boxes) == "a"


def change_export(path: str, value: Any) -> bytes:
    """Make the export with one value of train's JSON file changed; `path` is its keys, joined by dots."""
    content = make_annotations(FOLDERS["train"])
    *keys, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    part: Any = content
    for key in keys:
        part = part[key]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return make_zip(make_members(FOLDERS) | {f"train/{ANNOTATIONS}": json.dumps(content).encode()})


@pytest.mark.parametrize(
    ("path", "value", "message"),
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
            ("images.0.file_name", name, "is not the name of an image file: rejected")
            for name in ("", ".", "..", "../b.jpg", "/b.jpg", "x/b.jpg", "..\\b.jpg", "b\0.jpg", ANNOTATIONS)
        ),
    ],
)
def test_read_export_invalid_annotation_error_names_the_key(
    tmp_path: Path, path: str, value: Any, message: str
) -> None:
    with pytest.raises(UserError, match=rf"{NAME}: train/{ANNOTATIONS}.*{message}"):
        read(tmp_path, change_export(path, value))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 10**5, b'{"images": "\\ud800"}'])
def test_read_export_invalid_json_error_names_the_file(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(UserError, match=f"{NAME}: train/{ANNOTATIONS} is not COCO"):
        read(tmp_path, make_zip(make_members(FOLDERS) | {f"train/{ANNOTATIONS}": text}))


def test_read_export_missing_listed_image_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{NAME}: train/gone.jpg is listed, but not in the archive"):
        read(tmp_path, change_export("images.0.file_name", "gone.jpg"))


@pytest.mark.parametrize("name", ["train/a.jpg", f"train/{ANNOTATIONS}"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_read_export_duplicate_file_is_an_error(tmp_path: Path, name: str) -> None:
    content = make_zip(make_members(FOLDERS), (name, make_members(FOLDERS)[name]))
    with pytest.raises(UserError, match=f"{NAME}: {name} occurs twice"):
        read(tmp_path, content)


def test_read_export_folder_without_annotations_is_an_error(tmp_path: Path) -> None:
    content = make_members(FOLDERS)
    del content[f"valid/{ANNOTATIONS}"]
    with pytest.raises(UserError, match=f"{NAME}: valid has c.jpg, but no {ANNOTATIONS}"):
        read(tmp_path, make_zip(content))
    with pytest.raises(UserError, match=f"{NAME} has no {ANNOTATIONS} in a folder"):
        read(tmp_path, make_zip({"train/a.jpg": b"x"}))


def test_read_export_label_of_unknown_category_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{NAME} has no category 'lable0'.*'label0', 'label1'"):
        read(tmp_path, EXPORT, labels={"lable0": "glioma"})


def test_read_export_no_labeled_image_is_an_error(tmp_path: Path) -> None:
    content = make_zip(make_members({"test": {"d.jpg": []}}))
    with pytest.raises(UserError, match=f"{NAME} has no image with a label"):
        read(tmp_path, content, background="")


def make_link() -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("train/link.jpg")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


def make_bomb() -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("train/bomb.jpg")
    member.compress_type = zipfile.ZIP_BZIP2
    return member


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a zip archive", "cannot be read as a zip archive"),
        (EXPORT[:-30], "cannot be read as a zip archive"),
        (EXPORT.replace(make_content("a.jpg")[:9], b"wrongggg."), "train/a.jpg is corrupted"),
        (EXPORT.replace(b'"contributor"', b'"contributer"', 1), f"train/{ANNOTATIONS} is corrupted"),
        (make_zip({}, ("../a.jpg", b"")), r"'\.\./a.jpg' points outside"),
        (make_zip({}, ("/train/a.jpg", b"")), "'/train/a.jpg' points outside"),
        (make_zip({}, (make_link(), b"/etc/passwd")), "'train/link.jpg' is a link"),
        (make_zip({}, (make_bomb(), bytes(2**24))), "'train/bomb.jpg' is compressed more than 1000-fold"),
    ],
)
def test_read_export_unsafe_or_corrupted_archive_is_rejected(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=f"{NAME}.*{message}"):
        read(tmp_path, content)


@given(data=st.data())
def test_read_export_mutated_archive_is_read_or_rejected(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(EXPORT)
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[position] = data.draw(st.integers(0, 255))
    try:
        images = read(tmp_path_factory.mktemp("export"), bytes(content))
    except UserError:
        return
    assert all(image.label in ("glioma", "meningioma", "notumor") for image in images)


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
def test_source_invalid_parameter_is_rejected(tmp_path: Path, change: dict[str, Any]) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(json.dumps({"source": SETTINGS}))  # JSON is YAML
    assert params.read_params(file, "source", Source) == SOURCE
    file.write_text(json.dumps({"source": SETTINGS | change}))
    with pytest.raises(UserError, match=next(iter(change))):
        params.read_params(file, "source", Source)
