"""Reading exports of Roboflow, valid and invalid ones."""

import json
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
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.sources.roboflow import Source, coco
from brain_tumor.sources.roboflow.coco import ANNOTATIONS
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
    return list(coco.read_export(path, SOURCE.model_copy(update=changes), SkippedFiles()))


def read_with_reasons(tmp_path: Path, content: bytes, **changes: Any) -> tuple[list[RawImage], dict[str, str]]:
    """Read an export from a file, and return the reason for each file that was skipped."""
    path = tmp_path / NAME
    path.write_bytes(content)
    skipped = SkippedFiles()
    images = list(coco.read_export(path, SOURCE.model_copy(update=changes), skipped))
    return images, dict(skipped.table().itertuples(index=False))


def test_read_export_any_order_of_members_gives_the_same_archive(tmp_path: Path) -> None:
    shuffled = make_zip(dict(reversed(make_members(FOLDERS).items())))
    for name, content in (("first", EXPORT), ("second", shuffled)):
        raw_archive.write_archive(tmp_path / name, iter(read(tmp_path, content)))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_read_export_empty_background_drops_images_without_boxes(tmp_path: Path) -> None:
    images, reasons = read_with_reasons(tmp_path, EXPORT, background="")
    assert summarize(images) == SUMMARY[:2]
    assert reasons["train/b.jpg"] == "no boxes, and `background` is ''"


def test_read_export_only_folders_in_splits_are_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images, reasons = read_with_reasons(tmp_path, EXPORT, splits={"test": "", "extra": "test"})
    assert summarize(images) == [("test/d.jpg", "glioma", "", "1 2 3 4")]
    assert reasons["train/a.jpg"] == reasons["valid/c.jpg"] == "in no folder that `splits` names"
    assert "has no folder extra" in caplog.text


def test_read_export_every_file_is_an_image_or_has_a_reason(tmp_path: Path) -> None:
    extra = {
        "train/z.jpg": b"z",
        f"train/{ANNOTATIONS}.bak": b"z",
        "train/deep/y.jpg": b"y",
        "train/.DS_Store": b"",
        "__MACOSX/train/._a.jpg": b"",
    }
    members = make_members(FOLDERS) | extra
    images, reasons = read_with_reasons(tmp_path, make_zip(members))
    assert summarize(images) == SUMMARY
    unlisted = f"not listed in {ANNOTATIONS}"
    assert {name: reasons[name] for name in list(extra)[:3]} == dict.fromkeys(list(extra)[:3], unlisted)
    assert {image.path for image in images} | reasons.keys() == members.keys()
    assert not {image.path for image in images} & reasons.keys()


def test_read_export_listed_file_that_is_not_an_image_has_a_reason(tmp_path: Path) -> None:
    export = make_zip(
        make_members(FOLDERS | {"valid": {"c.jpg": [], "note": [(1, [1, 2, 3, 4])]}}) | {"valid/note": b"x"}
    )
    images, reasons = read_with_reasons(tmp_path, export)
    assert [image.path for image in images] == ["test/d.jpg", "train/a.jpg", "train/b.jpg", "valid/c.jpg"]
    assert reasons["valid/note"] == "a text file"


# What is outside an image of 640×640 pixels.
@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        ([-0.5, 3, 10, 4], "0 3 10 4"),
        ([-5, -6, 10, 10], "0 0 5 4"),
        ([600, 600, 40.5, 41], "600 600 40 40"),
        ([-100, -100, 9000, 9000], "0 0 640 640"),
        ([639.5, 639.5, 3, 3], "639 639 1 1"),
    ],
)
def test_read_export_box_partly_outside_is_clipped_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, box: list[float], clipped: str
) -> None:
    caplog.set_level("INFO")
    (image,) = read(tmp_path, make_zip(make_members({"test": {"d.jpg": [(1, box)]}})), labels={"label0": "glioma"})
    assert (image.label, image.box) == ("glioma", clipped)
    assert "boxes partly outside the image, clipped: 1 (first: test/d.jpg)" in caplog.text


@pytest.mark.parametrize("box", [[0, 0, 640, 640], [0.5, 0.5, 639.5, 639.5], [0, 0, 640.001, 640]])
def test_read_export_box_inside_is_not_counted_as_clipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, box: list[float]
) -> None:
    caplog.set_level("INFO")
    (image,) = read(tmp_path, make_zip(make_members({"test": {"d.jpg": [(1, box)]}})), labels={"label0": "glioma"})
    assert image.box == "0 0 640 640"
    assert "clipped" not in caplog.text


UNUSABLE_BOXES = [
    [700, 3, 10, 10],
    [-20, 3, 10, 10],
    [3, 3, 0, 10],
    [3, 3, 10, -1],
    [float("nan"), 3, 10, 10],
    [3, 3, float("inf"), 10],
    [3, 3, 1e6, 10],
    [3, 3, 10**400, 10],
    [-(10**400), 3, 10, 10],
]


@pytest.mark.parametrize("box", UNUSABLE_BOXES)
def test_read_export_unusable_box_is_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, box: list[float]
) -> None:
    """It would have the largest area, and must not decide the label; an image with no other box is no background."""
    caplog.set_level("INFO")
    folders: dict[str, Any] = {"test": {"d.jpg": [(1, [1, 2, 3, 4]), (2, box)], "e.jpg": [(2, box)]}}
    images, reasons = read_with_reasons(tmp_path, make_zip(make_members(folders)))
    assert summarize(images) == [("test/d.jpg", "glioma", "test", "1 2 3 4")]
    assert reasons["test/e.jpg"] == "only boxes outside the image, without area or with impossible numbers"
    expected = "boxes outside the image, without area or with impossible numbers, left out: 2 (first: test/d.jpg)"
    assert expected in caplog.text


def test_read_export_names_are_compared_normalized(tmp_path: Path) -> None:
    composed, decomposed = "tum\u00f6r.jpg", "tumo\u0308r.jpg"
    members = make_members({"test": {composed: [(1, [1, 2, 3, 4])]}})
    members[f"test/{decomposed}"] = members.pop(f"test/{composed}")
    (image,) = read(
        tmp_path, make_zip(members), labels=Source.model_validate(SETTINGS | {"labels": {" label0 ": "a"}}).labels
    )
    assert (image.path, image.label) == (f"test/{decomposed}", "a")


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
        ("annotations.1.bbox.2", "10", "annotations.1 of the image a.jpg has no box: bbox must be four numbers"),
        ("annotations.1.bbox.2", True, "annotations.1 of the image a.jpg has no box: bbox must be four numbers"),
        ("annotations.1.bbox", [1, 2, 3], "the image a.jpg has no box"),
        ("annotations.1.bbox", {}, "the image a.jpg has no box"),
        ("annotations.1.bbox", None, "the image a.jpg has no box"),
        ("annotations.1.image_id", 99, "unknown image, 99"),
        ("annotations.1.image_id", "1", "valid integer"),
        ("annotations.1.category_id", 99, "the image a.jpg has an unknown category, 99"),
        ("annotations.1.category_id", None, "the image a.jpg has an unknown category, None"),
        ("annotations.1.category_id", True, "the image a.jpg has an unknown category, True"),
        ("annotations.1.category_id", [1], r"the image a.jpg has an unknown category, \[1\]"),
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
        (b"not a zip archive", "is a text file, not a zip archive: save"),
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
