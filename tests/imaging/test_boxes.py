"""Boxes as text, around masks, and as masks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain_tumor.imaging.boxes import TumorBox, bounding_box, clip_boxes, fill_boxes, format_boxes, parse_boxes

NUMBERS = st.integers(0, 999_999)
BOXES = st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), max_size=5)


@given(BOXES)
def test_format_boxes_parsed_again_gives_the_sorted_boxes(boxes: list[TumorBox]) -> None:
    assert parse_boxes(format_boxes(boxes)) == sorted(boxes)


@given(st.data())
def test_format_boxes_order_does_not_matter(data: st.DataObject) -> None:
    boxes = data.draw(BOXES)
    assert format_boxes(data.draw(st.permutations(boxes))) == format_boxes(boxes)


def test_format_boxes_are_sorted_by_number_and_not_as_text() -> None:
    assert format_boxes([(10, 0, 1, 1), (9, 5, 1, 1), (9, 4, 20, 3)]) == "9 4 20 3;9 5 1 1;10 0 1 1"


def test_format_boxes_none_is_empty() -> None:
    assert format_boxes([]) == ""
    assert parse_boxes("") == []


def test_parse_boxes_keeps_the_order_of_the_text() -> None:
    assert parse_boxes("8 5 2 9;3 1 4 2") == [(8, 5, 2, 9), (3, 1, 4, 2)]


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "1 2 3",
        "1 2 3 4 5",
        "1 2 3 -4",
        "1 2 3 4;",
        ";1 2 3 4",
        "1 2 3 4; 5 6 7 8",
        "1  2 3 4",
        " 1 2 3 4",
        "1 2 3 4\n",
        "1 2 3 4.5",
        "1 2 3 1000000",
        "1 2 3 ٤",
    ],
)
def test_parse_boxes_other_format_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is not `left top width height` in pixels"):
        parse_boxes(text)


def test_bounding_box_reaches_the_outermost_pixels() -> None:
    mask = np.zeros((5, 8), bool)
    mask[0, 7] = mask[4, 2] = True
    assert bounding_box(mask) == (2, 0, 6, 5)


@pytest.mark.parametrize("shape", [(5, 8), (0, 8), (5, 0)])
def test_bounding_box_empty_mask_is_none(shape: tuple[int, int]) -> None:
    assert bounding_box(np.zeros(shape, bool)) is None


def test_fill_boxes_pixels_outside_the_image_are_cut_off() -> None:
    mask = fill_boxes("3 1 4 2;8 5 2 9", (10, 12))
    expected = np.zeros((10, 12), np.uint8)
    expected[1:3, 3:7] = 255
    expected[5:10, 8:10] = 255
    assert mask is not None
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, expected)


def test_fill_boxes_empty_text_is_none() -> None:
    assert fill_boxes("", (10, 12)) is None


def test_fill_boxes_invalid_text_is_an_error() -> None:
    with pytest.raises(ValueError, match="hello"):
        fill_boxes("hello", (10, 12))


@given(st.integers(0, 15), st.integers(0, 9), st.integers(1, 20), st.integers(1, 20))
def test_bounding_box_of_a_filled_box_is_its_part_inside_the_image(
    left: int, top: int, width: int, height: int
) -> None:
    mask = fill_boxes(f"{left} {top} {width} {height}", (10, 16))
    assert mask is not None
    assert bounding_box(mask > 0) == (left, top, min(width, 16 - left), min(height, 10 - top))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 2 3 4", "1 2 3 4"), ("0 0 40 30", "0 0 40 30"), ("30 20 20 20", "30 20 10 10"), ("39 29 9 9", "39 29 1 1"),
        ("40 0 1 1", ""), ("0 30 5 5", ""), ("1 1 0 5", ""), ("50 50 1 1;2 2 1 1", "2 2 1 1"), ("", ""),
    ],
)  # fmt: skip
def test_clip_boxes_parts_outside_are_cut_off(text: str, expected: str) -> None:
    assert clip_boxes(text, 40, 30) == expected


@given(st.lists(st.tuples(*[st.integers(0, 60)] * 4)))
def test_clip_boxes_pixels_inside_stay(boxes: list[TumorBox]) -> None:
    text = format_boxes(boxes)
    before, after = fill_boxes(text, (30, 40)), fill_boxes(clip_boxes(text, 40, 30), (30, 40))
    black = np.zeros((30, 40), np.uint8)
    assert np.array_equal(black if before is None else before, black if after is None else after)
