"""Non-diagnostic regions of synthetic heads."""

import cv2
import numpy as np
import pytest

from brain_tumor.attribution.shortcuts import head_masks, non_diagnostic_regions, relevance_fraction
from heads import head

SIDE = 224


def make_image(text: str = "") -> np.ndarray:
    """Make a dark image (1, SIDE, SIDE) with a head in the middle and text in a corner."""
    image = np.zeros((SIDE, SIDE), np.uint8)
    resized = cv2.resize(head(3), (150, 150), interpolation=cv2.INTER_AREA)
    image[37:187, 37:187] = resized
    if text:
        cv2.putText(image, text, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 230)
    return image[None]


def test_non_diagnostic_regions_lie_outside_the_head() -> None:
    image = make_image()
    heads = head_masks(image)
    assert heads[0, 112, 112]
    assert not heads[0, :30].any()
    assert 0.1 < heads.mean() < 0.45
    regions = non_diagnostic_regions(image, heads)
    np.testing.assert_array_equal(regions["outside_head"], ~heads)
    assert regions["borders"].mean() == pytest.approx(1 - (1 - 2 * 9 / SIDE) ** 2, abs=0.005)
    assert regions["corners"].mean() == pytest.approx(4 * 0.125**2, abs=0.01)
    assert not regions["text"].any(), "the image has no text"


def test_non_diagnostic_regions_burned_in_text_is_segmented() -> None:
    image = make_image("R 12")
    text = non_diagnostic_regions(image, head_masks(image))["text"][0]
    assert text[6:20, 4:44].mean() > 0.5
    assert not text[30:].any()


def test_relevance_fraction_of_relevance_and_area() -> None:
    region = np.zeros((3, 4, 4), bool)
    region[:2, 0] = True
    maps = np.ones((3, 4, 4), np.float32)
    maps[0, 0] = 3
    maps[1] = 0
    relevance, area = relevance_fraction(maps, region)
    assert relevance[0] == pytest.approx(12 / 24)
    assert area[0] == pytest.approx(0.25)
    assert np.isnan(relevance[1]), "empty map"
    assert np.isnan(relevance[2]), "empty region"


def test_head_masks_empty_image_is_all_head() -> None:
    empty = np.zeros((1, 64, 64), np.uint8)
    assert head_masks(empty).all()
    assert not non_diagnostic_regions(empty, head_masks(empty))["outside_head"].any()
