"""Areas that no diagnosis comes from, on drawn heads."""

import cv2
import numpy as np
import pytest
from heads import head

from brain_tumor.shortcuts import areas, heads, share

SIDE = 224


def picture(words: str = "") -> np.ndarray:
    """A head in the middle of a dark image, with text in a corner."""
    image = np.zeros((SIDE, SIDE), np.uint8)
    small = cv2.resize(head(3), (150, 150), interpolation=cv2.INTER_AREA)
    image[37:187, 37:187] = small
    if words:
        cv2.putText(image, words, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 230)
    return image[None]


def test_the_head_is_found_and_what_is_outside_is_the_rest() -> None:
    image = picture()
    inside = heads(image)
    assert inside[0, 112, 112]
    assert not inside[0, :30].any()
    assert 0.1 < inside.mean() < 0.45
    found = areas(image, inside)
    np.testing.assert_array_equal(found["outside_head"], ~inside)
    assert found["borders"].mean() == pytest.approx(1 - (1 - 2 * 9 / SIDE) ** 2, abs=0.005)
    assert found["corners"].mean() == pytest.approx(4 * 0.125**2, abs=0.01)
    assert not found["text"].any(), "a head without text has none"


def test_text_is_found_where_it_is_burnt_in() -> None:
    found = areas(picture("R 12"), heads(picture("R 12")))["text"][0]
    assert found[6:20, 4:44].mean() > 0.5
    assert not found[30:].any()


def test_shares_of_relevance_and_of_area() -> None:
    area = np.zeros((3, 4, 4), bool)
    area[:2, 0] = True
    maps = np.ones((3, 4, 4), np.float32)
    maps[0, 0] = 3
    maps[1] = 0
    relevance, size = share(maps, area)
    assert relevance[0] == pytest.approx(12 / 24)
    assert size[0] == pytest.approx(0.25)
    assert np.isnan(relevance[1]), "an empty map says nothing"
    assert np.isnan(relevance[2]), "nor does an image without such an area"


def test_an_image_without_anything_is_all_head() -> None:
    empty = np.zeros((1, 64, 64), np.uint8)
    assert heads(empty).all()
    assert not areas(empty, heads(empty))["outside_head"].any()
