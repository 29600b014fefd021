"""Locating the head in an image."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw

from brain_tumor.core.types import Gray
from brain_tumor.imaging.head import (
    HEAD_SEARCH_SIZE,
    MIN_CONTENT_PIXELS,
    content_box,
    gray_percentile,
    has_dark_background,
    largest_object,
    locate_head,
    segment_head,
)
from heads import head

SIZES = st.integers(1, 60)


@given(seed=st.integers(0, 99), height=SIZES, width=SIZES, levels=st.sampled_from([1, 2, 256]))
def test_content_box_any_image_is_inside_and_not_too_small(seed: int, height: int, width: int, levels: int) -> None:
    gray = np.random.default_rng(seed).integers(0, levels, (height, width)).astype(np.uint8)
    left, top, right, bottom = content_box(gray)
    assert 0 <= left <= right <= width
    assert 0 <= top <= bottom <= height
    assert right - left >= min(width, MIN_CONTENT_PIXELS)
    assert bottom - top >= min(height, MIN_CONTENT_PIXELS)


def test_content_box_nested_frames_are_removed() -> None:
    content = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8)
    framed = np.pad(np.pad(content, ((0, 9), (7, 0)), constant_values=255), 20, constant_values=30)
    assert content_box(framed) == (27, 20, 77, 60)


@pytest.mark.parametrize("level", [0, 128])
def test_segment_head_blank_image_is_the_whole_image(level: int) -> None:
    mask, box = segment_head(np.full((30, 50), level, np.uint8))
    assert mask.dtype == np.uint8
    assert mask.all()
    assert box == (0, 0, 50, 30)


def test_segment_head_burned_in_text_is_left_out() -> None:
    image = Image.fromarray(np.pad(head(1, 160), 40))
    ImageDraw.Draw(image).text((4, 4), "R 12", fill=255, font_size=24)
    mask, (left, top, right, bottom) = segment_head(np.asarray(image))
    assert set(np.unique(mask)) == {0, 1}
    assert not mask[:36, :80].any()
    rows, columns = np.nonzero(mask)
    assert (left, top, right, bottom) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


@given(height=st.integers(1, 700), width=st.integers(1, 700))
def test_locate_head_any_size_is_scaled_down_to_the_limit(height: int, width: int) -> None:
    view = locate_head(np.random.default_rng(0).integers(0, 256, (height, width)).astype(np.uint8))
    assert view.gray.shape == view.mask.shape
    assert max(view.gray.shape) <= HEAD_SEARCH_SIZE
    left, top, right, bottom = view.box
    assert view.mask[top:bottom, left:right].sum() == view.mask.sum() > 0


@given(
    gray=arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.integers(0, 255)),
    percent=st.floats(0, 100),
)
def test_gray_percentile_is_that_of_numpy(gray: Gray, percent: float) -> None:
    assert gray_percentile(gray, percent) == np.percentile(gray, percent)
    assert gray_percentile(gray[:, ::-1], 3) == np.percentile(gray, 3)


@settings(max_examples=200)
@given(seed=st.integers(0, 9999), height=st.integers(24, 256), width=st.integers(24, 256), data=st.data())
def test_head_quality_warning_rough_blur_decides_as_the_exact_one(
    seed: int, height: int, width: int, data: st.DataObject
) -> None:
    random = np.random.default_rng(seed)
    kind = data.draw(st.sampled_from(["noise", "dots", "blocks", "head"]))
    gray = random.integers(0, 256, (height, width)).astype(np.uint8)
    if kind == "dots":
        gray = np.where(gray > 250, gray, 0).astype(np.uint8)
    elif kind == "blocks":
        gray = np.asarray(Image.fromarray(gray[:6, :6]).resize((width, height), Image.Resampling.NEAREST))
    elif kind == "head":
        gray = np.asarray(Image.fromarray(head(seed % 50, 160)).resize((width, height)))
    exact = np.percentile(cv2.GaussianBlur(gray, (0, 0), 256 / 24), 8)
    for limit in exact + np.array([-20, -8, -1, 0, 1, 8, 20]):
        assert has_dark_background(gray, float(limit)) == (exact <= limit)


@settings(max_examples=300)
@given(
    seed=st.integers(0, 9999), height=st.integers(1, 60), width=st.integers(1, 60), share=st.floats(0, 1),
    block=st.integers(1, 8),
)  # fmt: skip
def test_largest_object_is_that_of_all_labels(seed: int, height: int, width: int, share: float, block: int) -> None:
    random = np.random.default_rng(seed)
    small = (random.random((height // block + 1, width // block + 1)) < share).astype(np.uint8)
    mask = np.ascontiguousarray(np.kron(small, np.ones((block, block), np.uint8))[:height, :width])
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    found = largest_object(mask)
    if count < 2:
        assert found is None
        return
    assert found is not None
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    x, y, w, h = (int(value) for value in stats[largest, :4])
    assert found[1] == (x, y, x + w, y + h)
    assert np.array_equal(found[0], labels == largest)
