"""YOLO data sets in folders and archives."""

import contextlib
import io
import tarfile
from collections.abc import Callable, Mapping
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
from brain_tumor.sources import yolo
from brain_tumor.sources.yolo import Source, boxes_path
from brain_tumor.sources.yolo.text_files import parse_boxes, parse_names
from roboflow_service import make_zip

PNG = make_png(100, 50)
NAMES = "names: [glioma, meningioma]\n"
LABELS = {"glioma": "glioma", "meningioma": "meningioma"}
GLIOMA, MENINGIOMA = "0 0.5 0.5 0.2 0.2\n", "1 0.25 0.5 0.1 0.4\n"
GLIOMA_PIXELS, MENINGIOMA_PIXELS = "40 20 20 10", "20 15 10 20"
FILES: dict[str, bytes | str] = {
    "data.yaml": NAMES,
    "train/images/0.png": PNG,
    "train/images/1.png": PNG,
    "train/labels/0.txt": GLIOMA,
    "train/labels/1.txt": MENINGIOMA,
    "valid/images/0.png": PNG,
    "valid/labels/0.txt": GLIOMA,
    "test/images/0.png": PNG,
    "test/labels/0.txt": MENINGIOMA,
}
SUMMARY = [
    ("test/images/0.png", "meningioma", "test", MENINGIOMA_PIXELS),
    ("train/images/0.png", "glioma", "train", GLIOMA_PIXELS),
    ("train/images/1.png", "meningioma", "train", MENINGIOMA_PIXELS),
    ("valid/images/0.png", "glioma", "train", GLIOMA_PIXELS),
]


def make_source(**changes: Any) -> Source:
    return Source.model_validate({"kind": "yolo", "labels": LABELS, "background": ""} | changes)


Read = Callable[..., tuple[list[RawImage], dict[str, str]]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """A function that reads files as a folder, and returns the images and the reasons for all other files."""

    return lambda files, **changes: read_folder(
        tmp_path, files, lambda path, skipped: yolo.images(make_source(path=path, **changes), tmp_path, skipped)
    )


def test_images_folder_per_split(read: Read) -> None:
    images, reasons = read(FILES)
    assert summarize(images) == SUMMARY
    assert images[0].content == PNG
    assert reasons == {"data.yaml": "the file with the names of the classes"} | {
        name: "a file with boxes" for name in FILES if name.endswith(".txt")
    }


def test_images_split_below_images(read: Read) -> None:
    files = {
        name.replace("valid", "val").replace("/images", "").replace("/labels", ""): content
        for name, content in FILES.items()
    }
    moved = {
        (f"{'labels' if name.endswith('.txt') else 'images'}/{name}" if "/" in name else name): content
        for name, content in files.items()
    }
    assert "images/train/0.png" in moved
    images, _ = read(moved)
    assert [item[1:] for item in summarize(images)] == [item[1:] for item in SUMMARY]


@pytest.mark.parametrize("prefix", ["", "brain tumors/", "test/data/"])
def test_images_wrapped_and_side_by_side_files(read: Read, prefix: str) -> None:
    """The innermost folder that names a split counts."""
    side_by_side = {name.replace("/images", "").replace("/labels", ""): content for name, content in FILES.items()}
    for files in (FILES, side_by_side):
        images, _ = read({prefix + name: content for name, content in files.items()})
        assert [item[1:] for item in summarize(images)] == [item[1:] for item in SUMMARY]


def test_images_without_split_folders(read: Read) -> None:
    files = {"d/data.yaml": NAMES, "d/images/0.png": PNG, "d/labels/0.txt": GLIOMA}
    expected = [("d/images/0.png", "glioma", "", GLIOMA_PIXELS)]
    assert summarize(read(files)[0]) == summarize(read(files, splits={})[0]) == expected
    with pytest.raises(UserError, match=r"has no folder train, which `splits` names \(it has d/images/0.png, …\)"):
        read(files, splits={"train": "train"})


def test_images_folders_outside_splits_are_skipped(read: Read) -> None:
    images, reasons = read(FILES, splits={"train": "", "test": "test"})
    assert summarize(images) == [SUMMARY[0], *((path, label, "", box) for path, label, _, box in SUMMARY[1:3])]
    assert reasons["valid/images/0.png"] == reasons["valid/labels/0.txt"] == "in no folder that `splits` names"


@pytest.mark.parametrize("pack", ["zip", "tar.gz"])
def test_images_archive_equals_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: str) -> None:
    members = {name: text.encode() if isinstance(text, str) else text for name, text in FILES.items()}
    (tmp_path / f"set.{pack}").write_bytes(make_zip(members) if pack == "zip" else make_tar(members))
    monkeypatch.setenv("DATA_ARCHIVES", str(tmp_path))
    images = list(yolo.images(make_source(file=f"set.{pack}"), tmp_path, SkippedFiles()))
    assert summarize(images) == SUMMARY


def make_tar(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as target:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            target.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_images_folder_of_data_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "yolo", FILES)
    monkeypatch.setenv("DATA_ARCHIVES", str(tmp_path))
    assert summarize(list(yolo.images(make_source(path="yolo"), tmp_path, SkippedFiles()))) == SUMMARY
    for changes in ({"path": "other"}, {"file": "other.zip"}):
        with pytest.raises(UserError, match=r"other.* was not found: put it into"):
            list(yolo.images(make_source(**changes), tmp_path, SkippedFiles()))


@pytest.mark.parametrize("changes", [{}, {"path": "a", "file": "b.zip"}])
def test_source_needs_a_folder_or_an_archive(changes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="set either `path`"):
        make_source(**changes)


def test_images_empty_and_missing_text_files_are_background(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    files = FILES | {"train/images/empty.png": PNG, "train/labels/empty.txt": " \n", "train/images/none.jpg": PNG}
    images, _ = read(files, background="notumor")
    assert summarize(images) == sorted(
        [*SUMMARY, *((f"train/images/{name}", "notumor", "train", "") for name in ("empty.png", "none.jpg"))]
    )
    assert "images without a text file, which have no boxes: 1 (first: train/images/none.jpg)" in caplog.text
    images, reasons = read(files)
    assert summarize(images) == SUMMARY
    assert reasons["train/images/empty.png"] == reasons["train/images/none.jpg"] == "no boxes, and `background` is ''"


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("train/images/a\u0308.png", "train/labels/\u00e4.txt"),
        ("train/images/A.PNG", "train/labels/a.TXT"),
        ("train/images/a.png", "train/Labels/a.txt"),
        ("train/Images/a.png", "train/labels/a.txt"),
        ("train/images/a b .png", "train/labels/a b.txt"),
    ],
)
def test_images_names_that_differ_in_case_blanks_or_form_belong_together(read: Read, image: str, text: str) -> None:
    images, reasons = read(FILES | {image: PNG, text: MENINGIOMA}, background="notumor")
    assert summarize(images) == sorted([*SUMMARY, (image, "meningioma", "train", MENINGIOMA_PIXELS)])
    assert reasons[text] == "a file with boxes"


@pytest.mark.parametrize(
    ("first", "second", "other"),
    [
        ("train/images/1.jpg", "train/images/1.png", "train/labels/1.txt"),
        ("train/labels/1.png", "train/images/1.png", "train/labels/1.txt"),
        ("train/Labels/1.txt", "train/labels/1.txt", "train/images/1.png"),
        ("train/labels/1.TXT", "train/labels/1.txt", "train/images/1.png"),
    ],
)
def test_images_two_files_of_one_name_are_an_error(read: Read, first: str, second: str, other: str) -> None:
    files = FILES | {first: PNG if first.endswith("g") else GLIOMA}
    with pytest.raises(UserError) as caught:
        read(files)
    message = str(caught.value)
    assert all(name in message for name in (first, second))
    assert f"both belong to {other} by their names" in message


def test_images_other_file_beside_an_image_is_no_second_image(read: Read) -> None:
    images, reasons = read(FILES | {"train/images/1.json": "{}", "train/images/2.json": "{}", "train/images/2": ""})
    assert summarize(images) == SUMMARY
    assert reasons["train/images/1.json"] == reasons["train/images/2.json"] == "a JSON file"


def test_images_text_file_whose_name_is_nearly_that_of_an_image_is_an_error(read: Read) -> None:
    files = FILES | {"train/images/scan 1.png": PNG, "train/labels/Scan1.txt": GLIOMA}
    with pytest.raises(UserError, match=r"train/images/scan 1.png has no text file .* train/labels/Scan1.txt no image"):
        read(files, background="notumor")
    images, reasons = read(FILES | {"train/images/scan 1.png": PNG, "train/labels/Scan2.txt": GLIOMA})
    assert summarize(images) == SUMMARY
    assert reasons["train/labels/Scan2.txt"] == "boxes of an image that does not exist"


def test_images_split_without_any_text_file_is_an_error(read: Read) -> None:
    """Its images would otherwise all become background."""
    files = {name: content for name, content in FILES.items() if name != "test/labels/0.txt"}
    with pytest.raises(UserError, match=r"test/images/0.png and all other images of its split lack a text file"):
        read(files, background="notumor")
    images, _ = read(files, background="notumor", splits={"train": "train", "valid": "train"})
    assert summarize(images) == SUMMARY[1:]


def test_images_every_other_file_has_its_reason(read: Read) -> None:
    others: dict[str, tuple[bytes | str, str]] = {
        "README.roboflow.txt": ("hello", "a text file"),
        "train/labels/gone.txt": (GLIOMA, "boxes of an image that does not exist"),
        "train/labels.cache": (b"\x93NUMPY\1", "a NumPy array"),
        "train/images/Thumbs.db": (b"\xd0\xcf\x11\xe0", "a file of the operating system"),
        "train/images/notes.txt": ("x", "a text file"),
        "train/images/.hidden.png": (PNG, "a hidden file, or one that a system added"),
        "results.png": (PNG, "in no folder images, and without a text file of its name"),
        "old.yaml": (NAMES, "a text file"),
        "train/images/2.dcm": (
            bytes(128) + b"DICM",
            "an image (dicom) other than PNG, JPEG and the like, which boxes need",
        ),
    }
    images, reasons = read(FILES | {name: content for name, (content, _) in others.items()})
    assert summarize(images) == SUMMARY
    assert {name: reasons[name] for name in others} == {name: reason for name, (_, reason) in others.items()}


def test_images_content_decides_what_is_an_image(read: Read) -> None:
    images, _ = read(FILES | {"train/images/MR01": PNG, "train/labels/MR01.txt": GLIOMA})
    assert ("train/images/MR01", "glioma", "train", GLIOMA_PIXELS) in summarize(images)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train/labels/1.txt": "0 0.5 0.5 0.2"}, r"train/labels/1.txt, line 1: 4 fields; a box has 5"),
        ({"train/labels/1.txt": GLIOMA + "\n0 0.5 0.5 0.2 0.2 0.9"}, r"1.txt, line 3: 6 fields"),
        ({"train/labels/1.txt": "0 0.5 0,5 0.2 0.2"}, "1.txt, line 1: not all fields are numbers"),
        ({"train/labels/1.txt": "2 0.5 0.5 0.2 0.2"}, r"1.txt, line 1: class 2 is not in `names` \(0 to 1\)"),
        ({"train/labels/1.txt": "0.5 0.5 0.5 0.2 0.2"}, "class 0.5 is not in `names`"),
        ({"train/labels/1.txt": "nan 0.5 0.5 0.2 0.2"}, "class nan is not in `names`"),
        ({"train/labels/1.txt": "0 128 128 30 30"}, "fractions of width and height, from 0 to 1, not pixels"),
        ({"train/labels/1.txt": b"\xff\xfe0"}, "1.txt is not text in UTF-8"),
        ({"train/labels/1.txt": b"0" * (2**24 + 1)}, "1.txt has 16,777,217 bytes, more than 16,777,216: rejected"),
        ({"data.yaml": "nc: 2"}, "data.yaml has no `names` of classes"),
        ({"data.yaml": "names: [a"}, "data.yaml is not valid YAML"),
        ({"data.yaml": "- a"}, "data.yaml has no `names` of classes"),
        ({"data.yaml": "names: [glioma]"}, "data.yaml has no category 'meningioma', which `labels` names"),
        ({"data.yaml": b"#" * (2**16 + 1)}, "data.yaml has 65,537 bytes"),
        ({"other.yaml": NAMES, "data.yml": NAMES}, "has several YAML files"),
    ],
)
def test_images_invalid_file_error_names_file_and_line(read: Read, files: dict[str, bytes | str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(FILES | files)


def test_images_missing_parts_are_errors(read: Read) -> None:
    with pytest.raises(UserError, match=r"has no data.yaml: add one"):
        read({name: content for name, content in FILES.items() if name != "data.yaml"})
    with pytest.raises(UserError, match="has no images in folders `images`"):
        read({"data.yaml": NAMES, "a.png": PNG})


def test_images_broken_boxes_are_clipped_or_left_out(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    lines = "0 0.0 0.5 0.2 0.2\n1 nan 0.5 0.9 0.9\n1 1.5 0.5 0.9 0.9\n1 0.5 0.5 0 0.9\n"
    images, _ = read(FILES | {"train/labels/0.txt": lines})
    assert summarize(images)[1] == ("train/images/0.png", "glioma", "train", "0 20 10 10")
    assert "boxes partly outside the image, clipped: 1 (first: train/images/0.png)" in caplog.text
    assert "impossible numbers, left out: 3 (first: train/images/0.png)" in caplog.text


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: [a, b]", {0: "a", 1: "b"}),
        ("names: {0: a, 7: b}", {0: "a", 7: "b"}),
        ("names:\n  0: a\n  1: b\nnc: 2\ntrain: ../train/images", {0: "a", 1: "b"}),
        ("names: [no, yes]", {0: "no", 1: "yes"}),
        ("names: [0, 1]", {0: "0", 1: "1"}),
        ("\ufeffnames: [' tumo\u0308r']", {0: "tum\u00f6r"}),
    ],
)
def test_parse_names_lists_and_mappings(text: str, names: dict[int, str]) -> None:
    assert parse_names(text.encode(), "data.yaml") == names


@pytest.mark.parametrize(
    "text",
    [
        *("", "names: []", "names: {}", "names: a", "names: [[a]]", "names: [true]", "names: {a: 0}", "names: {-1: a}"),
        *("names: ['']", "names: {0: a, 0: b}", "names: !!python/name:os.system a", "names: [1.5]", "a: *x", "\ta: b"),
        *(
            "[" * 60_000,
            "[" * 900,
            "- " * 30_000,
            "kpt_shape: [17, 3]\nnames: [a]",
            "names: &a [*a]",
            "names: {true: a}",
            "names: \0",
        ),
    ],
)
def test_parse_names_other_content_is_an_error(text: str) -> None:
    with pytest.raises(UserError, match=r"^data\.yaml"):
        parse_names(text.encode(), "data.yaml")


def test_parse_names_expansion_of_aliases_is_not_followed() -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 40))
    with pytest.raises(UserError, match="the name of class 0 is not text"):
        parse_names(f"l0: &l0 [x]\n{levels}names: *l39".encode(), "data.yaml")


def test_parse_boxes_polygon_gives_its_bounding_box() -> None:
    text = "\ufeff1 0.25 0.5 0.5 0.125 0.75 0.25\r\n\r\n0.0\t0.5 0.5 0.25 0.25\n"
    assert parse_boxes(text.encode(), "a.txt", {0: "a", 1: "b"}) == [
        CategoryBox("b", 0.25, 0.125, 0.5, 0.375),
        CategoryBox("a", 0.375, 0.375, 0.25, 0.25),
    ]


@given(st.lists(st.tuples(st.integers(0, 1), *[st.floats(0, 1)] * 4), max_size=5))
def test_parse_boxes_any_lines_are_read_in_order(rows: list[tuple[int, float, float, float, float]]) -> None:
    text = "\n".join(" ".join(map(str, row)) for row in rows)
    boxes = parse_boxes(text.encode(), "a.txt", {0: "a", 1: "b"})
    assert [(box.category, box.width, box.height) for box in boxes] == [("ab"[row[0]], *row[3:]) for row in rows]
    for box, row in zip(boxes, rows, strict=True):
        assert (box.left + box.width / 2, box.top + box.height / 2) == pytest.approx(row[1:3])


@given(st.binary(max_size=60) | st.text("01 .-\nenaif\u0661", max_size=40).map(str.encode))
def test_parse_boxes_any_content_is_read_or_rejected(content: bytes) -> None:
    with contextlib.suppress(UserError):
        assert all(box.category in ("a", "b") for box in parse_boxes(content, "a.txt", {0: "a", 1: "b"}))


@given(st.binary(max_size=60) | st.text("names: [{}]&*a01\n-", max_size=40).map(str.encode))
def test_parse_names_any_content_is_read_or_rejected(content: bytes) -> None:
    with contextlib.suppress(UserError):
        assert parse_names(content, "data.yaml")


@given(
    st.sets(
        st.tuples(
            st.sampled_from(["", "train/", "test/", "other/"]),
            st.sampled_from(["images/", "labels/", ""]),
            st.sampled_from(["a", "b", ".c"]),
            st.sampled_from([".png", ".txt", ".jpg", ""]),
        )
    )
)
def test_images_any_files_are_images_or_have_reasons(
    tmp_path_factory: pytest.TempPathFactory, parts: set[tuple[str, str, str, str]]
) -> None:
    files: dict[str, bytes | str] = {"data.yaml": NAMES}
    files |= {"".join(part): GLIOMA if part[3] == ".txt" else PNG for part in parts}
    folder = write_folder(tmp_path_factory.mktemp("yolo") / "data", files)
    skipped = SkippedFiles()
    try:
        images = list(yolo.images(make_source(path=str(folder), background="notumor"), folder, skipped))
    except UserError:
        return
    reasons = reasons_of(skipped)
    assert {image.path for image in images} | reasons.keys() == files.keys()
    assert len(images) + len(reasons) == len(files)


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("images/a.png", "labels/a.txt"),
        ("train/images/a.b.png", "train/labels/a.b.txt"),
        ("images/x/images/sub/a", "images/x/labels/sub/a.txt"),
        ("train/a.jpg", "train/a.txt"),
    ],
)
def test_boxes_path_replaces_the_last_folder_images(image: str, text: str) -> None:
    assert boxes_path(image) == text
