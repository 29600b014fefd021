"""What thumbnails keep, what they are blind to, and what does not look like a head."""

import re

import numpy as np
import pytest
from heads import Gray, head
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from brain_tumor.copies import turn
from brain_tumor.thumbnails import SIDE, inner_box, thumbnails


def close(one: Gray, other: Gray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@given(st.integers(0, 99), st.integers(1, 300), st.integers(1, 300))
def test_any_image_has_thumbnails(seed: int, height: int, width: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)
    made = thumbnails(image)
    assert made.frame.shape == made.head.shape == (SIDE, SIDE)
    assert made.frame.dtype == made.head.dtype == np.uint8


@pytest.mark.parametrize("value", [0, 128, 255])
def test_borders_and_padding_do_not_change_the_head(value: int) -> None:
    framed = np.pad(head(1, 256), ((9, 30), (14, 3)), constant_values=value)
    assert inner_box(framed)[0] >= 14
    assert close(thumbnails(framed).head, thumbnails(head(1, 256)).head) > 0.99


def test_letters_do_not_change_the_head() -> None:
    image = Image.fromarray(np.pad(head(1, 256), 40))
    ImageDraw.Draw(image).text((4, 4), "R 12", fill=255, font_size=24)
    assert close(thumbnails(np.asarray(image)).head, thumbnails(head(1, 256)).head) > 0.95


@pytest.mark.parametrize("k", range(8))
def test_turning_the_image_turns_the_thumbnails(k: int) -> None:
    turned, straight = thumbnails(turn(head(1, 256), k)), thumbnails(head(1, 256))
    assert close(turned.frame, turn(straight.frame, k)) > 0.99
    assert close(turned.head, turn(straight.head, k)) > 0.99


def page_of_text() -> Gray:
    image = Image.new("L", (300, 400), 255)
    ImageDraw.Draw(image).multiline_text((10, 10), "\n".join(["Findings: none to speak of. " * 2] * 24), fill=0)
    return np.asarray(image)


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.random.default_rng(0).integers(0, 256, (200, 200)).astype(np.uint8), "ground|object"),
        (page_of_text(), "ground|object"),
        (np.tile(np.linspace(90, 255, 256).astype(np.uint8), (256, 1)), "too little"),
        (np.pad(np.full((6, 180), 200, np.uint8), 60), "object|too little"),
        (head(1)[::6, ::6], "too little"),
    ],
)
def test_what_is_no_head_is_doubted(image: Gray, says: str) -> None:
    assert re.search(says, thumbnails(image).doubt)


def test_heads_are_not_doubted() -> None:
    assert [thumbnails(head(seed)).doubt for seed in range(20)] == [""] * 20
