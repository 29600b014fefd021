"""Localization metrics of maps against masks, by hand, and baseline maps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from brain_tumor.attribution.localization import (
    faithfulness_baselines,
    localization_baselines,
    localization_metrics,
    pointing_game,
)
from heads import head


def make_square(side: int = 8, low: int = 2, high: int = 4) -> np.ndarray:
    mask = np.zeros((1, side, side), bool)
    mask[0, low:high, low:high] = True
    return mask


def measure(maps: np.ndarray, masks: np.ndarray) -> dict[str, float]:
    return {name: float(values[0]) for name, values in localization_metrics(maps.astype(np.float32), masks).items()}


def test_localization_metrics_mask_itself_is_perfect() -> None:
    metrics = measure(make_square(), make_square())
    assert metrics == {"pointing": 1, "relevance_inside": 1, "area": 4 / 64, "iou_best": 1, "iou_half": 1}


def test_localization_metrics_map_off_the_tumor_is_zero() -> None:
    metrics = measure(make_square(low=5, high=7), make_square())
    assert metrics["pointing"] == metrics["relevance_inside"] == metrics["iou_best"] == 0


def test_localization_metrics_constant_map_equals_the_area() -> None:
    metrics = measure(np.ones((1, 8, 8)), make_square())
    assert metrics["pointing"] == metrics["relevance_inside"] == metrics["iou_best"] == pytest.approx(4 / 64)
    assert measure(np.zeros((1, 8, 8)), make_square())["relevance_inside"] == pytest.approx(4 / 64)


def test_localization_metrics_map_half_inside() -> None:
    maps = make_square(low=2, high=4) * 1.0 + make_square(low=4, high=6) * 0.6
    metrics = measure(maps, make_square())
    assert metrics["pointing"] == 1
    assert metrics["relevance_inside"] == pytest.approx(1 / 1.6)
    assert metrics["iou_half"] == pytest.approx(4 / 8)
    assert metrics["iou_best"] == 1


def test_localization_metrics_empty_mask_is_nan() -> None:
    metrics = localization_metrics(
        np.ones((2, 8, 8), np.float32), np.concatenate([make_square(), make_square() & False])
    )
    for values in metrics.values():
        assert np.isfinite(values).tolist() == [True, False]


@given(arrays(np.float32, (1, 6, 6), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])), st.floats(0.5, 100, width=32))
def test_localization_metrics_do_not_depend_on_the_scale_of_a_map(maps: np.ndarray, scale: float) -> None:
    mask = make_square(6, 1, 4)
    original, scaled = (
        localization_metrics(values, mask) for values in (maps, maps * np.float32(2 ** round(np.log2(scale))))
    )
    for name, values in original.items():
        assert 0 <= values[0] <= 1
        assert values[0] == pytest.approx(scaled[name][0], abs=1e-6)


def test_localization_baselines_do_not_depend_on_the_model() -> None:
    images = np.stack([head(n)[:96, :96] for n in range(3)])
    mean = np.zeros((96, 96), np.float32)
    mean[40, 50] = 1
    baselines = localization_baselines(images, mean, seed=0)
    assert set(baselines) == {"center", "mean training mask", "edges", "intensity", "blurred random"}
    for maps in baselines.values():
        assert maps.shape == images.shape
        assert maps.min() >= 0
    assert np.unravel_index(baselines["center"][0].argmax(), (96, 96)) in {(47, 47), (47, 48), (48, 47), (48, 48)}
    assert np.unravel_index(baselines["mean training mask"][2].argmax(), (96, 96)) == (40, 50)
    noise = baselines["blurred random"]
    assert (noise[0] != noise[1]).any()
    np.testing.assert_array_equal(noise, localization_baselines(images, mean, seed=0)["blurred random"])
    middle = np.zeros((3, 96, 96), bool)
    middle[:, 40:56, 40:56] = True
    assert pointing_game(baselines["center"], middle).tolist() == [1, 1, 1]


def test_faithfulness_baselines_do_not_depend_on_the_model() -> None:
    images = np.zeros((2, 16, 16), np.uint8)
    baselines, again = faithfulness_baselines(images, seed=0), faithfulness_baselines(images, seed=0)
    assert list(baselines) == ["random order", "blurred random", "center"]
    for name, maps in baselines.items():
        assert maps.shape == images.shape
        assert maps.dtype == np.float32
        np.testing.assert_array_equal(maps, again[name])
    assert (baselines["random order"][0] != baselines["random order"][1]).any()
