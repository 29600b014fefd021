"""Thumbnails under borders, text and transforms, and the quality warning."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from brain_tumor.audit.thumbnails import THUMBNAIL_SIDE, make_thumbnails
from brain_tumor.audit.transforms import apply_transform
from brain_tumor.core.types import Gray
from brain_tumor.imaging.head import content_box
from heads import head


def correlate(one: Gray, other: Gray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@given(st.integers(0, 99), st.integers(1, 300), st.integers(1, 300))
def test_make_thumbnails_noise_of_any_size_has_the_shape(seed: int, height: int, width: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)
    thumbnails = make_thumbnails(image)
    assert thumbnails.frame.shape == thumbnails.head.shape == (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    assert thumbnails.frame.dtype == thumbnails.head.dtype == np.uint8


@pytest.mark.parametrize("value", [0, 128, 255])
def test_make_thumbnails_border_same_head(value: int) -> None:
    bordered = np.pad(head(1, 256), ((9, 30), (14, 3)), constant_values=value)
    assert content_box(bordered)[0] >= 14
    assert correlate(make_thumbnails(bordered).head, make_thumbnails(head(1, 256)).head) > 0.99


def test_make_thumbnails_burned_in_text_same_head() -> None:
    image = Image.fromarray(np.pad(head(1, 256), 40))
    ImageDraw.Draw(image).text((4, 4), "R 12", fill=255, font_size=24)
    assert correlate(make_thumbnails(np.asarray(image)).head, make_thumbnails(head(1, 256)).head) > 0.95


@pytest.mark.parametrize("k", range(8))
def test_make_thumbnails_follow_the_transform_of_the_image(k: int) -> None:
    transformed, original = make_thumbnails(apply_transform(head(1, 256), k)), make_thumbnails(head(1, 256))
    assert correlate(transformed.frame, apply_transform(original.frame, k)) > 0.99
    assert correlate(transformed.head, apply_transform(original.head, k)) > 0.99


def page_of_text() -> Gray:
    image = Image.new("L", (300, 400), 255)
    ImageDraw.Draw(image).multiline_text((10, 10), "\n".join(["Findings: none to speak of. " * 2] * 24), fill=0)
    return np.asarray(image)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.random.default_rng(0).integers(0, 256, (200, 200)).astype(np.uint8), "background|object"),
        (page_of_text(), "background|object"),
        (np.tile(np.linspace(90, 255, 256).astype(np.uint8), (256, 1)), "too small"),
        (np.pad(np.full((6, 180), 200, np.uint8), 60), "object|too small"),
        (head(1)[::6, ::6], "too small"),
    ],
)
def test_head_quality_warning_non_head_image_is_given(image: Gray, message: str) -> None:
    assert re.search(message, make_thumbnails(image).quality_warning)


def test_head_quality_warning_head_is_empty() -> None:
    assert [make_thumbnails(head(seed)).quality_warning for seed in range(20)] == [""] * 20
