"""Pascal VOC data sets in folders and archives."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxed_folders import make_png, read_folder, reasons_of, summarize, write_folder
from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.labels_from_boxes import CategoryBox
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.sources import voc
from brain_tumor.sources.voc import Source, common_key
from brain_tumor.sources.voc.xml_file import Annotation, parse_annotation
from roboflow_service import make_zip

PNG = make_png(100, 50)


def make_xml(*objects: tuple[str, Any, Any, Any, Any], image: str = "", size: tuple[int, int] | None = None) -> str:
    """Make an annotation of objects, each a name and its corners xmin, ymin, xmax, ymax."""
    corners = "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"
    parts = [f"<object><name>{name}</name>{corners.format(*box)}</object>" for name, *box in objects]
    stated = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
    return f"<annotation><filename>{image}</filename>{stated}{''.join(parts)}</annotation>"


GLIOMA, MENINGIOMA = make_xml(("glioma", 11, 6, 30, 15)), make_xml(("meningioma", 1, 1, 100, 50), size=(100, 50))
FILES: dict[str, bytes | str] = {
    "train/0.png": PNG,
    "train/0.xml": GLIOMA,
    "train/1.png": PNG,
    "train/1.xml": MENINGIOMA,
    "valid/2.png": PNG,
    "valid/2.xml": GLIOMA,
    "test/3.png": PNG,
    "test/3.xml": MENINGIOMA,
}
SUMMARY = [
    ("test/3.png", "meningioma", "test", "0 0 100 50"),
    ("train/0.png", "glioma", "train", "10 5 20 10"),
    ("train/1.png", "meningioma", "train", "0 0 100 50"),
    ("valid/2.png", "glioma", "train", "10 5 20 10"),
]
CLASSIC: dict[str, bytes | str] = {
    "VOC/JPEGImages/a b.png": PNG,
    "VOC/JPEGImages/b.c.png": PNG,
    "VOC/JPEGImages/d.png": PNG,
    "VOC/Annotations/a b.xml": GLIOMA,
    "VOC/Annotations/b.c.xml": MENINGIOMA,
    "VOC/Annotations/d.xml": GLIOMA,
}
LISTS: dict[str, bytes | str] = {
    "VOC/ImageSets/Main/train.txt": "a b\n\n",
    "VOC/ImageSets/Main/trainval.txt": "a b\r\nb.c\r\n",
    "VOC/ImageSets/Main/test.txt": "d.png\n",
}
Read = Callable[..., tuple[list[RawImage], dict[str, str]]]


def make_source(**changes: Any) -> Source:
    labels = {"glioma": "glioma", "meningioma": "meningioma"}
    return Source.model_validate({"kind": "voc", "labels": labels, "background": ""} | changes)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """A function that reads files as a folder, and returns the images and the reasons for all other files."""

    return lambda files, **changes: read_folder(
        tmp_path, files, lambda path, skipped: voc.images(make_source(path=path, **changes), tmp_path, skipped)
    )


def test_images_side_by_side(read: Read) -> None:
    images, reasons = read(FILES)
    assert summarize(images) == SUMMARY
    assert images[0].content == PNG
    assert reasons == {name: "a file with boxes" for name in FILES if name.endswith(".xml")}


@pytest.mark.parametrize("folders", [("JPEGImages", "Annotations"), ("images", "annotations")])
@pytest.mark.parametrize("split_first", [True, False])
def test_images_in_folders_of_their_own(read: Read, folders: tuple[str, str], split_first: bool) -> None:
    moved = {}
    for name, content in FILES.items():
        split, file = name.split("/")
        folder = folders[name.endswith(".xml")]
        moved[f"x/{split}/{folder}/{file}" if split_first else f"x/{folder}/{split}/{file}"] = content
    images, _ = read(moved)
    assert [item[1:] for item in summarize(images)] == [item[1:] for item in SUMMARY]


def test_images_lists_give_the_splits(read: Read) -> None:
    images, reasons = read(CLASSIC | LISTS)
    assert [(image.path[15:], image.label, image.split) for image in images] == [
        ("a b.png", "glioma", "train"),
        ("b.c.png", "meningioma", "train"),
        ("d.png", "glioma", "test"),
    ]
    assert {reasons[name] for name in LISTS} == {"a list of images"}


def test_images_without_lists_have_no_split(read: Read) -> None:
    images, _ = read(CLASSIC)
    assert [image.split for image in images] == ["", "", ""]
    with pytest.raises(UserError, match=r"has no folder train, which `splits` names"):
        read(CLASSIC, splits={"train": "train"})


def test_images_in_no_list_are_skipped(read: Read) -> None:
    images, reasons = read(CLASSIC | LISTS, splits={"train": "train", "test": "test"})
    assert [image.path for image in images] == ["VOC/JPEGImages/a b.png", "VOC/JPEGImages/d.png"]
    assert reasons["VOC/JPEGImages/b.c.png"] == "in no list in ImageSets/Main that `splits` names"
    assert reasons["VOC/ImageSets/Main/trainval.txt"] == "a text file"


def test_images_lists_that_contradict_or_name_nothing(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UserError, match=r"train.txt and test.txt both list VOC/JPEGImages/d.png, for different splits"):
        read(CLASSIC | LISTS | {"VOC/ImageSets/Main/train.txt": "d\n"})
    images, _ = read(CLASSIC | LISTS | {"VOC/ImageSets/Main/test.txt": "d\ngone\n"})
    assert len(images) == 3
    assert (
        "VOC/ImageSets/Main/test.txt names images that do not exist or have no XML file: 1 (first: gone)" in caplog.text
    )
    with pytest.raises(UserError, match=r"train.txt is not text in UTF-8"):
        read(CLASSIC | LISTS | {"VOC/ImageSets/Main/train.txt": b"\xff"})


def test_images_archive_equals_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = {name: text.encode() if isinstance(text, str) else text for name, text in FILES.items()}
    (tmp_path / "set.zip").write_bytes(make_zip(members))
    monkeypatch.setenv("DATA_ARCHIVES", str(tmp_path))
    assert summarize(list(voc.images(make_source(file="set.zip"), tmp_path, SkippedFiles()))) == SUMMARY


def test_images_without_objects_are_background_without_xml_unknown(read: Read) -> None:
    files = FILES | {"train/empty.png": PNG, "train/empty.xml": make_xml(), "train/none.png": PNG}
    images, reasons = read(files, background="notumor")
    assert summarize(images) == sorted([*SUMMARY, ("train/empty.png", "notumor", "train", "")])
    assert reasons["train/none.png"] == "without an XML file with boxes"
    images, reasons = read(files)
    assert summarize(images) == SUMMARY
    assert reasons["train/empty.png"] == "no boxes, and `background` is ''"


def test_images_every_other_file_has_its_reason(read: Read) -> None:
    others: dict[str, tuple[bytes | str, str]] = {
        "README.txt": ("hello", "a text file"),
        "extra/9.png": (PNG, "in no folder that `splits` names"),
        "extra/9.xml": (GLIOMA, "a file with boxes"),
        "train/gone.xml": (GLIOMA, "boxes of an image that does not exist"),
        "train/other.xml": ("<?xml version='1.0'?><note/>", "an XML file"),
        "train/Thumbs.db": (b"\xd0\xcf\x11\xe0", "a file of the operating system"),
        "train/.hidden.xml": ("<", "a hidden file, or one that a system added"),
        "masks/0.png": (PNG, "without an XML file with boxes"),
        "train/MR01": (PNG, "without an XML file with boxes"),
    }
    images, reasons = read(FILES | {name: content for name, (content, _) in others.items()})
    assert summarize(images) == SUMMARY
    assert {name: reasons[name] for name in others} == {name: reason for name, (_, reason) in others.items()}


def test_images_filename_names_the_image_where_no_image_has_the_xml_files_name(
    read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    renamed = {
        "train/a.png": PNG,
        "train/7.xml": make_xml(("glioma", 11, 6, 30, 15), image="C:\\scans\\a.png"),
        "train/8.png": PNG,
        "train/8.xml": make_xml(("meningioma", 1, 1, 9, 9), image="old.png"),
    }
    images, _ = read(renamed)
    assert [(image.path, image.label) for image in images] == [
        ("train/8.png", "meningioma"),
        ("train/a.png", "glioma"),
    ]
    assert (
        "XML files whose <filename> has another name than the image beside them: 1 (first: train/8.xml)" in caplog.text
    )


def test_images_same_name_is_decided_by_filename(read: Read) -> None:
    files = {"train/a.png": PNG, "train/a.jpg": PNG, "train/b.png": PNG, "train/b.xml": MENINGIOMA}
    images, reasons = read(files | {"train/a.xml": make_xml(("glioma", 1, 1, 9, 9), image="a.jpg")})
    assert [(image.path, image.label) for image in images] == [("train/a.jpg", "glioma"), ("train/b.png", "meningioma")]
    assert reasons["train/a.png"] == "without an XML file with boxes"
    with pytest.raises(UserError, match=r"train/a.xml may belong to train/a.jpg and to train/a.png"):
        read(files | {"train/a.xml": make_xml(("glioma", 1, 1, 9, 9), image="a.bmp")})
    with pytest.raises(UserError, match=r"annotations/b.xml and train/b.xml both have the boxes of train/b.png"):
        read({"train/b.png": PNG, "train/b.xml": MENINGIOMA, "train/annotations/b.xml": GLIOMA})


def test_images_boxes_partly_outside_are_clipped(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    box = make_xml(("glioma", 0, "0.5", 101, 51), ("meningioma", 200, 1, 300, 50), ("meningioma", "nan", 1, 90, 50))
    images, _ = read(FILES | {"train/0.xml": box})
    assert summarize(images)[1] == ("train/0.png", "glioma", "train", "0 0 100 50")
    assert "boxes partly outside the image, clipped: 1 (first: train/0.png)" in caplog.text
    assert "impossible numbers, left out: 2 (first: train/0.png)" in caplog.text


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("", "is not valid XML"),
        ("<annotation>", "is not valid XML"),
        (
            "<annotation><object><bndbox/></object></annotation>",
            r"0.xml \(image without a name\): object 1 has no name",
        ),
        (
            make_xml(("glioma", 1, 2, 3, 4), ("glioma", 1, 2, 3, "x"), image="0.png"),
            r"\(image 0.png\): object 2 has no box",
        ),
        ("<annotation><object><name>glioma</name></object></annotation>", "object 1 has no box: `bndbox` must have"),
        ("<!DOCTYPE a><annotation/>", r"has a document type \(DOCTYPE\)"),
        ('<!DOCTYPE a [<!ENTITY x "y">]><annotation>&x;</annotation>', "document type"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>', "document type"),
        ('<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a><annotation/>'.encode("utf-16"), "document type"),
        ("<annotation>&x;</annotation>", "is not valid XML: undefined entity"),
        ('<?xml version="1.0" encoding="gb2312"?><annotation/>', "is not valid XML"),
        (b"<annotation>" + b" " * 2**22, "has 4,194,316 bytes, more than 4,194,304: rejected"),
    ],
)
def test_images_invalid_xml_error_names_the_file(read: Read, xml: bytes | str, message: str) -> None:
    with pytest.raises(UserError, match=rf"train/0\.xml.*{message}|{message}"):
        read(FILES | {"train/0.xml": xml})


def test_images_missing_parts_are_errors(read: Read) -> None:
    with pytest.raises(UserError, match=r"has no XML file with boxes \(`<annotation>`\)"):
        read({"train/0.png": PNG})
    with pytest.raises(UserError, match=r"has no category 'meningioma', which `labels` names \(it has \['glioma'\]\)"):
        read({"train/0.png": PNG, "train/0.xml": GLIOMA})
    with pytest.raises(UserError, match="has no image with a label"):
        read({"train/0.xml": GLIOMA, "train/1.xml": MENINGIOMA})


def test_parse_annotation_corners_are_counted_from_1_and_included() -> None:
    content = make_xml(("a ", 1, 2, 30, 40), ("b", 1.5, 1, 1.5, 1), image="x.png", size=(100, 0)).encode()
    boxes = [CategoryBox("a", 0, 1, 30, 39), CategoryBox("b", 0.5, 0, 1, 1)]
    assert parse_annotation(content, "x.xml") == Annotation("x.png", boxes, None)
    assert parse_annotation(b"<note/>", "x.xml") is None


def test_parse_annotation_parts_of_objects_are_no_boxes() -> None:
    part = "<part><name>hand</name><bndbox><xmin>1</xmin></bndbox></part>"
    content = make_xml(("a", 1, 2, 30, 40)).replace("</object>", f"{part}</object>").encode()
    annotation = parse_annotation(content, "x.xml")
    assert annotation
    assert [box.category for box in annotation.boxes] == ["a"]


def test_parse_annotation_deep_nesting_is_read() -> None:
    depth = 100_000
    annotation = parse_annotation(b"<annotation>" + b"<a>" * depth + b"</a>" * depth + b"</annotation>", "x.xml")
    assert annotation == Annotation("", [], None)


@given(st.data())
def test_parse_annotation_mutated_file_is_read_or_rejected(data: st.DataObject) -> None:
    content = bytearray(make_xml(("glioma", 11, 6, 30, 15), image="x.png", size=(100, 50)).encode())
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[position] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UserError):
        annotation = parse_annotation(bytes(content), "x.xml")
        assert annotation is None or all(box.category for box in annotation.boxes)


@given(
    st.sets(
        st.tuples(
            st.sampled_from(["", "train/", "test/", "other/"]),
            st.sampled_from(["images/", "Annotations/", ""]),
            st.sampled_from(["a", "b", ".c"]),
            st.sampled_from([".png", ".xml", ".jpg", ""]),
        )
    )
)
def test_images_any_files_are_images_or_have_reasons(
    tmp_path_factory: pytest.TempPathFactory, parts: set[tuple[str, str, str, str]]
) -> None:
    xml = make_xml(("glioma", 1, 1, 9, 9), ("meningioma", 1, 1, 5, 5))
    files: dict[str, bytes | str] = {"".join(part): xml if part[3] == ".xml" else PNG for part in parts}
    folder = write_folder(tmp_path_factory.mktemp("voc") / "data", files)
    skipped = SkippedFiles()
    try:
        images = list(voc.images(make_source(path=str(folder)), folder, skipped))
    except UserError:
        return
    reasons = reasons_of(skipped)
    assert {image.path for image in images} | reasons.keys() == files.keys()
    assert len(images) + len(reasons) == len(files)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("a.png", ("a",)),
        ("VOC/JPEGImages/a.b.jpg", ("VOC", "a.b")),
        ("VOC/Annotations/a.b.xml", ("VOC", "a.b")),
        ("images/train/a", ("train", "a")),
        ("Train/o\u0308.xml", ("Train", "\u00f6")),
    ],
)
def test_common_key_leaves_out_folders_of_roles(name: str, key: tuple[str, ...]) -> None:
    assert common_key(name) == key
