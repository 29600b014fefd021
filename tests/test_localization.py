"""Figures of heat maps against masks, by hand."""

import numpy as np
import pytest
from heads import head
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from brain_tumor.localization import baselines, figures, pointing


def square(side: int = 8, low: int = 2, high: int = 4) -> np.ndarray:
    mask = np.zeros((1, side, side), bool)
    mask[0, low:high, low:high] = True
    return mask


def of(maps: np.ndarray, masks: np.ndarray) -> dict[str, float]:
    return {name: float(values[0]) for name, values in figures(maps.astype(np.float32), masks).items()}


def test_the_mask_itself_is_perfect() -> None:
    found = of(square(), square())
    assert found == {"pointing": 1, "relevance_inside": 1, "area": 4 / 64, "iou_best": 1, "iou_half": 1}


def test_a_map_beside_the_tumor_finds_nothing() -> None:
    found = of(square(low=5, high=7), square())
    assert found["pointing"] == found["relevance_inside"] == found["iou_best"] == 0


def test_a_flat_map_knows_as_much_as_the_area() -> None:
    found = of(np.ones((1, 8, 8)), square())
    assert found["pointing"] == found["relevance_inside"] == found["iou_best"] == pytest.approx(4 / 64)
    assert of(np.zeros((1, 8, 8)), square())["relevance_inside"] == pytest.approx(4 / 64)


def test_half_right() -> None:
    maps = square(low=2, high=4) * 1.0 + square(low=4, high=6) * 0.6
    found = of(maps, square())
    assert found["pointing"] == 1
    assert found["relevance_inside"] == pytest.approx(1 / 1.6)
    assert found["iou_half"] == pytest.approx(4 / 8)
    assert found["iou_best"] == 1


def test_images_without_a_tumor_have_no_figure() -> None:
    found = figures(np.ones((2, 8, 8), np.float32), np.concatenate([square(), square() & False]))
    for values in found.values():
        assert np.isfinite(values).tolist() == [True, False]


@given(arrays(np.float32, (1, 6, 6), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])), st.floats(0.5, 100, width=32))
def test_the_scale_of_a_map_plays_no_part(maps: np.ndarray, scale: float) -> None:
    mask = square(6, 1, 4)
    one, other = (figures(values, mask) for values in (maps, maps * np.float32(2 ** round(np.log2(scale)))))
    for name, values in one.items():
        assert 0 <= values[0] <= 1
        assert values[0] == pytest.approx(other[name][0], abs=1e-6)


def test_baselines_are_maps_that_do_not_ask_the_model() -> None:
    images = np.stack([head(n)[:96, :96] for n in range(3)])
    mean = np.zeros((96, 96), np.float32)
    mean[40, 50] = 1
    found = baselines(images, mean, seed=0)
    assert set(found) == {"center", "mean training mask", "edges", "intensity", "blurred random"}
    for maps in found.values():
        assert maps.shape == images.shape
        assert maps.min() >= 0
    assert np.unravel_index(found["center"][0].argmax(), (96, 96)) in {(47, 47), (47, 48), (48, 47), (48, 48)}
    assert np.unravel_index(found["mean training mask"][2].argmax(), (96, 96)) == (40, 50)
    noise = found["blurred random"]
    assert (noise[0] != noise[1]).any()
    np.testing.assert_array_equal(noise, baselines(images, mean, seed=0)["blurred random"])
    middle = np.zeros((3, 96, 96), bool)
    middle[:, 40:56, 40:56] = True
    assert pointing(found["center"], middle).tolist() == [1, 1, 1]
