"""Images and charts of pages."""

import base64
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from brain_tumor.plotting.leakage import LEAK_STYLES
from brain_tumor.reporting.images import MAX_SHEET_PIXELS, encode_webp, inline_svg, shrink_sheet
from brain_tumor.reporting.slices import TestImages, choose_examples, show_cases, show_mistakes
from example_report import make_chart
from heads import head

IMAGES = np.stack([head(n, 32)[:, :32] for n in range(4)])
MASKS = np.zeros_like(IMAGES)
MASKS[0, 8:16, 8:16] = 255
TEST_IMAGES = TestImages(IMAGES, MASKS, [f"folder/{n}.png" for n in range(4)])


def read_uri(uri: str) -> Image.Image:
    head, data = uri.split(",")
    assert head == "data:image/webp;base64"
    return Image.open(BytesIO(base64.b64decode(data)))


def test_encode_webp_twice_gives_the_same_bytes() -> None:
    pixels = np.repeat(IMAGES[0][:, :, None], 3, 2)
    assert encode_webp(pixels) == encode_webp(pixels)
    assert np.abs(np.asarray(read_uri(encode_webp(pixels)), int) - pixels).mean() < 12


@pytest.mark.parametrize(("width", "expected"), [(3000, MAX_SHEET_PIXELS), (600, 600)])
def test_shrink_sheet_wide_sheets_only(width: int, expected: int) -> None:
    file = BytesIO()
    Image.new("RGB", (width, width // 2)).save(file, "PNG")
    assert read_uri(shrink_sheet(file.getvalue())).size == (expected, expected // 2)


def test_inline_svg_of_two_charts_on_a_page_have_no_id_in_common() -> None:
    first, second = (inline_svg(make_chart(), name) for name in ("one", "two"))
    assert first.startswith('<svg role="img" aria-labelledby="one-title one-text"')
    assert first.replace("one-", "two-") == second
    assert 'id="one-figure_1"' in first
    assert "<style" not in first
    assert 'width="' not in first[: first.index(">")]


def test_show_mistakes_are_the_most_confident_wrong_predictions() -> None:
    table = pd.DataFrame(
        {
            "row": [0, 1, 2, 3], "label": list("aabb"), "predicted": list("bbba"), "leak": ["", "duplicate", "", ""],
            "p_a": [0.4, 0.1, 0.2, 0.7], "p_b": [0.6, 0.9, 0.8, 0.3],
        }
    )  # fmt: skip
    shown = show_mistakes(TEST_IMAGES, table, ["a", "b"], 2)
    assert [one.path for one in shown] == ["folder/1.png", "folder/3.png"]
    assert shown[0].title == "b 90.0%, true: a"
    assert shown[0].note == LEAK_STYLES["duplicate"][0]
    assert all(one.is_wrong for one in shown)
    assert len(show_mistakes(TEST_IMAGES, table, ["a", "b"], 9)) == 3


def test_show_cases_beside_maps_of_the_given_methods() -> None:
    cases = pd.DataFrame(
        {"row": [0, 2], "label": ["a", "b"], "predicted": ["a", "a"], "kind": ["correct", "incorrect"]}
    )
    maps = {name: np.zeros((2, 32, 32), np.float32) for name in ("x", "y")}
    first, second = show_cases(TEST_IMAGES, cases.assign(p=0.75), maps, ["y", "x"])
    assert (first.is_outlined, second.is_outlined) == (True, False)
    assert (first.is_wrong, second.is_wrong) == (False, True)
    assert "with the outline of the tumor; beside it the heat map of y, x for a" in first.alt
    assert read_uri(first.picture).size == (3 * 32 + 2 * 6, 32)


def test_choose_examples_first_correct_and_incorrect_case_of_each_class() -> None:
    kinds = ["correct", "correct", "incorrect", "uncertain", "uncertain", "correct"]
    cases = pd.DataFrame({"label": list("aaaabb"), "kind": kinds}, index=range(10, 16))
    assert choose_examples(cases) == [0, 2, 5]
