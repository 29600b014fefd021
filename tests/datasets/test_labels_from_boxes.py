"""Labels of images from boxes."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from boxed_folders import make_png, reasons_of, summarize, write_folder
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.folder import FolderFiles
from brain_tumor.datasets.readers.labels_from_boxes import (
    FRACTIONS,
    MAX_BOX_PIXELS,
    BoxedImage,
    BoxRules,
    CategoryBox,
    Size,
    clip_box,
    label_images,
    main_category,
    plausible_size,
    round_box,
)
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.imaging.boxes import format_boxes, parse_boxes
from brain_tumor.imaging.image_size import read_size
from clinical_files import RAMP, make_dicom

RULES = BoxRules(labels={"a": "glioma", "b": "meningioma"}, background="", splits={})
NUMBERS = st.floats() | st.floats(-200, 200) | st.integers(-30, 30).map(float)
BOXES = st.builds(
    CategoryBox, st.sampled_from(["a", "b", "c"]), *[st.floats(0, 1000) | st.integers(0, 30).map(float)] * 4
)
ANY_BOXES = st.builds(CategoryBox, st.sampled_from(["a", "b", "c"]), *[NUMBERS] * 4)
SIZES = st.tuples(st.integers(1, 100), st.integers(1, 100))


@given(st.lists(BOXES, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_main_category_any_order_has_the_largest_total_area(boxes: list[CategoryBox], chance: random.Random) -> None:
    category = main_category(boxes)
    assert category == main_category(chance.sample(boxes, len(boxes)))
    areas = {name: sum(box.width * box.height for box in boxes if box.category == name) for name in "abc"}
    assert areas[category] == pytest.approx(max(areas.values()))


def test_main_category_equal_areas_give_the_first_name() -> None:
    boxes = [CategoryBox("b", 0, 0, 6, 2), CategoryBox("a", 5, 5, 3, 2), CategoryBox("a", 0, 0, 2, 3)]
    assert main_category(boxes) == "a"


@given(ANY_BOXES, SIZES)
def test_clip_box_any_box_ends_inside_the_image(box: CategoryBox, size: Size) -> None:
    clipped = clip_box(box, size)
    if clipped is None:
        assert not all(abs(number) <= MAX_BOX_PIXELS for number in box[1:]) or not _overlaps(box, size)
        return
    assert _overlaps(box, size)
    left, top, width, height = round_box(clipped, size)
    assert 0 <= left < left + width <= size[0]
    assert 0 <= top < top + height <= size[1]
    assert parse_boxes(format_boxes([(left, top, width, height)])) == [(left, top, width, height)]
    if box.left >= 0 <= box.top and box.left + box.width <= size[0] and box.top + box.height <= size[1]:
        assert clipped is box


def _overlaps(box: CategoryBox, size: Size) -> bool:
    horizontal = min(box.left + box.width, size[0]) - max(box.left, 0)
    return horizontal > 0 and min(box.top + box.height, size[1]) - max(box.top, 0) > 0


@pytest.mark.parametrize(
    ("box", "size", "expected"),
    [
        ((3, 4, 5, 6), (100, 50), (3, 4, 5, 6)),
        ((-0.5, 4, 5, 6), (100, 50), (0, 4, 4.5, 6)),
        ((90, 45, 20, 20), (100, 50), (90, 45, 10, 5)),
        ((-1000, -1000, 5000, 5000), (100, 50), (0, 0, 100, 50)),
        ((0.9, 0.9, 0.2, 0.2), FRACTIONS, (0.9, 0.9, 0.1, 0.1)),
        ((100, 4, 5, 6), (100, 50), None),
        ((-5, 4, 5, 6), (100, 50), None),
        ((3, 4, 0, 6), (100, 50), None),
        ((3, 4, 5, -6), (100, 50), None),
        ((3, 4, float("nan"), 6), (100, 50), None),
        ((3, 4, float("inf"), 6), (100, 50), None),
        ((3, 4, 100_001, 6), (100, 50), None),
    ],
)
def test_clip_box_known_boxes(
    box: tuple[float, float, float, float], size: Size, expected: tuple[float, ...] | None
) -> None:
    clipped = clip_box(CategoryBox("a", *box), size)
    assert (clipped is None) == (expected is None)
    if clipped and expected:
        assert clipped[1:] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        *[(640, 480, (640, 480)), (640.0, 480, (640, 480)), (0, 480, None), (1, 1, None), ("640", 480, None)],
        *[(None, None, None), (True, True, None), (float("nan"), 5, None), (10**400, 5, None), (-640, 480, None)],
    ],
)
def test_plausible_size_only_of_two_numbers(width: object, height: object, expected: Size | None) -> None:
    assert plausible_size(width, height) == expected


def label(folder: Path, boxed: BoxedImage, content: bytes | None = None, background: str = "") -> tuple[str, str, str]:
    """Label one image of 100×50 pixels; returns label, box and the reason for skipping it."""
    files = FolderFiles(write_folder(folder, {"x.png": content or make_png(), "sound.png": make_png()}))
    sound = BoxedImage("", [CategoryBox("a", 1, 2, 3, 4)])
    skipped = SkippedFiles()
    rules = RULES.model_copy(update={"background": background})
    images: list[RawImage] = list(label_images(files, {"x.png": boxed, "sound.png": sound}, rules, skipped))
    assert summarize(images)[0] == ("sound.png", "glioma", "", "1 2 3 4")
    reasons = reasons_of(skipped)
    assert len(images) + len(reasons) == 2
    return ("", "", reasons["x.png"]) if reasons else (images[1].label, images[1].box, "")


def test_label_images_units_of_boxes(tmp_path: Path) -> None:
    pixels, fractions = [CategoryBox("b", 10, 5, 20, 10)], [CategoryBox("b", 0.1, 0.1, 0.2, 0.2)]
    expected = ("meningioma", "10 5 20 10", "")
    assert label(tmp_path, BoxedImage("", pixels)) == expected
    assert label(tmp_path, BoxedImage("", pixels, (100, 50))) == expected
    assert label(tmp_path, BoxedImage("", fractions, FRACTIONS)) == expected


def test_label_images_other_size_than_stated_gives_no_box(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The label does not depend on the size; the pixels of the box do."""
    caplog.set_level("INFO")
    for size in ((50.0, 100.0), (400.0, 200.0)):
        assert label(tmp_path, BoxedImage("", [CategoryBox("b", 10, 5, 90, 10)], size)) == ("meningioma", "", "")
    assert "images of another size than the annotations state, boxes left out: 1 (first: x.png)" in caplog.text


def test_label_images_corrupted_image_stays_an_image(tmp_path: Path) -> None:
    """Its boxes in pixels are known, those in fractions are not."""
    corrupted = make_png()[:30]
    assert read_size(corrupted) is None
    boxes = [CategoryBox("b", 0.5, 0.5, 3, 3)]
    assert label(tmp_path, BoxedImage("", boxes, (100, 50)), corrupted) == ("meningioma", "0 0 3 3", "")
    assert label(tmp_path, BoxedImage("", boxes), corrupted) == ("meningioma", "0 0 3 3", "")
    assert label(tmp_path, BoxedImage("", boxes, FRACTIONS), corrupted) == ("meningioma", "", "")


@pytest.mark.parametrize(
    ("boxes", "background", "expected"),
    [
        ([], "", ("", "", "no boxes, and `background` is ''")),
        ([], "notumor", ("notumor", "", "")),
        ([CategoryBox("c", 1, 1, 5, 5)], "notumor", ("", "", "only boxes of categories without a label")),
        (
            [CategoryBox("a", 200, 1, 5, 5)],
            "notumor",
            ("", "", "only boxes outside the image, without area or with impossible numbers"),
        ),
        ([CategoryBox("a", 1, 1, 5, 5), CategoryBox("b", 99, 0, 500, 50)], "", ("meningioma", "1 1 5 5;99 0 1 50", "")),
        ([CategoryBox("a", 1, 1, 7, 7), CategoryBox("b", 99, 0, 500, 48)], "", ("glioma", "1 1 7 7;99 0 1 48", "")),
    ],
)
def test_label_images_label_or_reason(
    tmp_path: Path, boxes: list[CategoryBox], background: str, expected: tuple[str, str, str]
) -> None:
    """The areas inside the image decide."""
    assert label(tmp_path, BoxedImage("", boxes), background=background) == expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (make_dicom(RAMP), "an image (dicom) other than PNG, JPEG and the like, which boxes need"),
        (b"%PDF-1.4", ""),
    ],
)
def test_label_images_other_content_is_skipped_or_left_to_the_audit(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    """A file with the name of an image stays one, though its content is unknown."""
    assert label(tmp_path, BoxedImage("", [CategoryBox("a", 1, 1, 5, 5)]), content)[2] == reason


def test_rules_names_of_categories_are_normalized() -> None:
    rules = BoxRules(labels={" tumo\u0308r ": "x"}, background="", splits={})
    assert rules.labels == {"tum\u00f6r": "x"}
    with pytest.raises(ValidationError, match="differ only in blanks"):
        BoxRules(labels={"a": "x", "a ": "y"}, background="", splits={})


def test_label_images_hidden_files_are_listed(tmp_path: Path) -> None:
    files = FolderFiles(write_folder(tmp_path / "data", {"x.png": make_png(), ".DS_Store": b"x"}))
    skipped = SkippedFiles()
    images = list(label_images(files, {"x.png": BoxedImage("train", [CategoryBox("a", 0, 0, 9, 9)])}, RULES, skipped))
    assert summarize(images) == [("x.png", "glioma", "train", "0 0 9 9")]
    assert list(reasons_of(skipped)) == [".DS_Store"]
    assert images[0].content == make_png()
