"""Layouts: what the folders of an archive say about its images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.layout import Layout
from brain_tumor.datasets.skipped import SkippedFiles
from figshare_service import make_zip
from heads import head, png
from layout_reading import read_images

FLAT = {"path": "{label}/{file}", "labels": {"yes": "tumor", "no": "notumor"}}
PNG = png(head(1))
SPLITS = {"Training": "train", "Testing": "test"}
SPLIT = {"path": "{split}/{label}/{file}", "labels": {"yes": "tumor"}, "splits": SPLITS}


def read(
    folder: Path, layout: Mapping[str, Any], *names: str, **contents: bytes
) -> tuple[list[RawImage], dict[str, str]]:
    """Return the images of an archive and the reasons of all other files."""
    (folder / "a.zip").write_bytes(make_zip(dict.fromkeys(names, b"x") | contents))
    skipped = SkippedFiles()
    images = list(read_images(folder / "a.zip", Layout.model_validate(layout), skipped))
    return images, dict(skipped.table().to_numpy().tolist())


def test_read_images_only_matching_members_are_read(tmp_path: Path) -> None:
    names = ["yes/b.JPG", "no/a b.png", "brain/yes/b.JPG", "maybe/c.png", "readme.txt", "yes/.DS_Store"]
    images, others = read(tmp_path, FLAT, *names)
    assert [(image.path, image.label, image.split) for image in images] == [
        ("no/a b.png", "notumor", ""),
        ("yes/b.JPG", "tumor", ""),
    ]
    assert others == {
        "brain/yes/b.JPG": "the path does not match {label}/{file}",
        "maybe/c.png": "'maybe' is not in `layout.labels`",
        "readme.txt": "the path does not match {label}/{file}",
        "yes/.DS_Store": "a hidden file, or one that a system added",
    }


def test_read_images_folders_are_published_splits(tmp_path: Path) -> None:
    names = ["Training/yes/1.png", "Testing/yes/1.png", "Training/no/2.png", "Other/yes/3.png"]
    images, others = read(tmp_path, SPLIT, *names)
    assert [(image.path, image.label, image.split) for image in images] == [
        ("Testing/yes/1.png", "tumor", "test"),
        ("Training/yes/1.png", "tumor", "train"),
    ]
    assert others == {
        "Other/yes/3.png": "'Other' is not in `layout.splits`",
        "Training/no/2.png": "'no' is not in `layout.labels`",
    }


@pytest.mark.parametrize(
    ("path", "names", "patients"),
    [
        ("{label}/{patient}/{file}", ["yes/p1/1.png", "yes/p2/1.png"], ["p1", "p2"]),
        ("{label}/{patient}_{file}", ["yes/p1_2_3.png"], ["p1"]),
        ("{patient}/**/{label}/{file}", ["p1/yes/1.png", "p2/a/b/yes/1.png"], ["p1", "p2"]),
        ("**/{label}/{file}", ["yes/1.png", "a/b/yes/2.png"], ["", ""]),
        ("{label}/**/{file}", ["yes/1.png", "yes/a/b/2.png"], ["", ""]),
        ("*/{label}/{file}", ["a/yes/1.png", "b/yes/1.png"], ["", ""]),
        ("data*/{label}/{file}.png", ["data 1/yes/1.png", "data/yes/1.png"], ["", ""]),
    ],
)
def test_read_images_placeholders_match_any_depth(
    tmp_path: Path, path: str, names: list[str], patients: list[str]
) -> None:
    images, others = read(tmp_path, {"path": path, "labels": {"yes": "tumor"}}, *names, "other/4.png")
    assert sorted(image.patient for image in images) == sorted(patients)
    assert sorted(image.path for image in images) == sorted(names)
    assert list(others) == ["other/4.png"]


def test_read_images_star_is_one_folder_only(tmp_path: Path) -> None:
    layout = {"path": "*/{label}/{file}", "labels": {"yes": "t"}}
    images, others = read(tmp_path, layout, "a/yes/1.png", "a/b/yes/2.png", "yes/3.png")
    assert [image.path for image in images] == ["a/yes/1.png"]
    assert set(others) == {"a/b/yes/2.png", "yes/3.png"}


def test_read_images_longer_label_wins(tmp_path: Path) -> None:
    layout = {"path": "{label}_{file}", "labels": {"no": "none", "no_tumor": "healthy"}}
    images, _ = read(tmp_path, layout, "no_1.png", "no_tumor_2.png")
    assert {image.path: image.label for image in images} == {"no_1.png": "none", "no_tumor_2.png": "healthy"}


@pytest.mark.parametrize("folder", ["gut\u00e4rtig", "guta\u0308rtig", " gut\u00e4rtig", "guta\u0308rtig "])
@pytest.mark.parametrize("key", ["gut\u00e4rtig", "guta\u0308rtig "])
def test_read_images_names_are_compared_normalized(tmp_path: Path, folder: str, key: str) -> None:
    images, _ = read(tmp_path, {"path": "{label}/{file}", "labels": {key: "benign"}}, f"{folder}/1.png")
    assert [(image.path, image.label) for image in images] == [(f"{folder}/1.png", "benign")]


@pytest.mark.parametrize(
    ("layout", "names", "message"),
    [
        (FLAT, ["data/x.png"], r"no file matches 'yes', which `layout.labels` names \(names there: data\)\.$"),
        (FLAT, ["yes/1.png", "No/1.png"], r"matches 'no', .* \(names there: No, yes\)\. Did you mean 'No'\?$"),
        (
            SPLIT,
            ["Training/yes/1.png", "testing/yes/1.png"],
            r"matches 'Testing', which `layout.splits` names .*'testing'",
        ),
        (FLAT, ["1.png", "2.png"], r"no file that matches \{label\}/\{file\} \(it has 1.png, 2.png, …\)\.$"),
        (FLAT, ["a/yes/1.png", "a/no/2.png"], r"with `path: '\*\*/\{label\}/\{file\}'`, 2 would match"),
        (FLAT, [".hidden"], r"no file that matches .* \(it has no files, …\)"),
        (FLAT, ["yes/1.png", "no/.1.png"], r"no/.1.png is a hidden file"),
    ],
)
def test_read_images_key_without_a_file_is_an_error(
    tmp_path: Path, layout: Mapping[str, Any], names: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path, layout, *names)


def test_read_images_content_that_is_no_image_is_left_out(tmp_path: Path) -> None:
    others = {"yes/Thumbs.db": b"\xd0\xcf", "yes/labels.txt": b"1 2", "yes/Icon\r": b"", "yes/a.xml": b"<?xml version"}
    images, reasons = read(tmp_path, FLAT, "yes/1.png", "no/2.png", **others)
    assert [image.path for image in images] == ["no/2.png", "yes/1.png"]
    assert reasons == {
        "yes/Thumbs.db": "a file of the operating system", "yes/labels.txt": "a text file",
        "yes/Icon\\r": "a file of the operating system", "yes/a.xml": "an XML file",
    }  # fmt: skip


def test_read_images_class_without_an_image_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no file of 'no', .*, is an image \(no/labels.txt: a text file\)"):
        read(tmp_path, FLAT, "yes/1.png", **{"no/labels.txt": b"1 2"})
    with pytest.raises(UserError, match=r"no file of 'no', .*, is an image \(all are masks\)"):
        read(tmp_path, FLAT, "yes/1.png", "no/1_mask.png")


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "{file}"},
        {"path": "{label}"},
        {"path": "{split}/{label}/{file}"},
        {"splits": {"a": "test"}},
        {"path": "{label}/{label}/{file}"},
        {"path": "{patient}/{patient}/{label}/{file}"},
        {"path": "{label}/{name}/{file}"},
        {"path": "a**/{label}/{file}"},
        {"path": "{label}/{file}/**"},
        {"path": "{split}/{label}/{file}", "splits": {"a": "val"}},
        {"path": "{split}/{label}/{file}", "splits": {"a": "Test"}},
        {"labels": {}},
        {"labels": {"yes": ""}},
    ],
)
def test_layout_invalid_values_are_rejected(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Layout.model_validate({"path": "{label}/{file}", "labels": {"yes": "tumor"}} | changes)


def test_read_images_voxels_and_header_are_one_image(tmp_path: Path) -> None:
    header = b"\x5c\x01\0\0" + bytes(344)
    files = {"yes/v_t1.img": b"voxels", "yes/v_t1.hdr": header, "yes/w.img": b"voxels", "yes/x.hdr": header}
    images, others = read(tmp_path, {"path": "{label}/{file}", "labels": {"yes": "tumor"}}, **files)
    assert [(image.path, image.patient) for image in images] == [("yes/v_t1.img", "yes/v")]
    assert images[0].content.endswith(b"voxels")
    assert len(images[0].content) > len(header)
    assert others == {
        "yes/v_t1.hdr": "the header of an .img file beside it",
        "yes/w.img": "voxels without their .hdr file",
        "yes/x.hdr": "a header without its .img file",
    }


def test_read_images_mask_is_no_image_and_no_mask_if_its_content_is_none(tmp_path: Path) -> None:
    layout = {"path": "{label}/{file}", "labels": {"yes": "tumor"}}
    images, others = read(tmp_path, layout, "yes/1.png", "yes/1_mask.png")
    assert [(image.path, image.mask) for image in images] == [("yes/1.png", b"x")]
    assert others == {"yes/1_mask.png": "a mask of images of this data set"}
    files = {"yes/1": PNG, "yes/1_mask": b"hello", "yes/2_mask": PNG}
    images, others = read(tmp_path, layout, **files)
    assert [(image.path, image.mask) for image in images] == [("yes/1", None)]
    assert others == {
        "yes/1_mask": "a mask that is not an image: a text file",
        "yes/2_mask": "named as a mask (such as _seg, _mask or _label), but no image goes with it",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": {"a": "A", "a ": "B"}},
        {"labels": {"\u00e4": "A", "a\u0308": "A"}},
        {"path": "{split}/{label}/{file}", "splits": {"Test": "test", " Test": "train"}},
    ],
)
def test_layout_keys_that_differ_in_blanks_or_form_are_rejected(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"two keys of `(labels|splits)` differ only in blanks"):
        Layout.model_validate(FLAT | changes)
    Layout.model_validate(FLAT | {"labels": {"a": "A", "A": "A", "a b": "A"}})


def test_read_images_archive_beside_other_files_is_named_if_a_class_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no.zip, an archive in an archive, whose files are not read: unpack both"):
        read(tmp_path, FLAT, "no.zip", **{"yes/1.png": PNG})
    images, others = read(tmp_path, FLAT, "more.zip", **{"yes/1.png": PNG, "no/1.png": PNG})
    assert len(images) == 2
    assert others["more.zip"] == "the path does not match {label}/{file}"


def test_read_images_class_whose_files_the_caller_skips_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(make_zip({"yes/1.png": PNG, "no/1.png": PNG, "no/2.png": PNG}))

    def skip(*paths: str) -> int:
        skipped, count = SkippedFiles(), 0
        for image in read_images(tmp_path / "a.zip", Layout.model_validate(FLAT), skipped):
            if image.path in paths:
                skipped.add(image.path, "a report")
            count += image.path not in paths
        return count

    assert skip("no/1.png") == 2
    with pytest.raises(
        UserError, match=r"no file of 'no', which `layout.labels` names, is an image \(no/1.png: a report"
    ):
        skip("no/1.png", "no/2.png")
