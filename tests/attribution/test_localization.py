"""Localization metrics of maps against masks, by hand, and baseline maps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score

from brain_tumor.attribution.control_maps import model_free_maps
from brain_tumor.attribution.localization import localization_metrics, pointing_game, tumor_sizes
from heads import head


def make_square(side: int = 8, low: int = 2, high: int = 4) -> np.ndarray:
    mask = np.zeros((1, side, side), bool)
    mask[0, low:high, low:high] = True
    return mask


def measure(maps: np.ndarray, masks: np.ndarray) -> dict[str, float]:
    return {name: float(values[0]) for name, values in localization_metrics(maps.astype(np.float32), masks).items()}


def test_localization_metrics_mask_itself_is_perfect() -> None:
    metrics = measure(make_square(), make_square())
    assert metrics == dict.fromkeys(metrics, 1) | {"area": 4 / 64}


def test_localization_metrics_map_off_the_tumor_is_zero() -> None:
    metrics = measure(make_square(low=5, high=7), make_square())
    assert metrics["pointing"] == metrics["relevance_inside"] == metrics["iou_best"] == 0


def test_localization_metrics_constant_map_equals_the_area() -> None:
    metrics = measure(np.ones((1, 8, 8)), make_square())
    assert [metrics[name] for name in ("pointing", "relevance_inside", "iou_best", "auprc")] == pytest.approx(
        [4 / 64] * 4
    )
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


@pytest.mark.parametrize("seed", range(3))
def test_localization_metrics_equal_scikit_learn(seed: int) -> None:
    """AUPRC is the average precision of the pixels; the best IoU is that of a loop over thresholds."""
    random = np.random.default_rng(seed)
    maps = np.floor(random.random((1, 24, 24)) ** 2 * 1000) / 1000
    maps[0, 3, 4] = 1
    mask = random.random((1, 24, 24)) < 0.1 + 0.3 * maps
    metrics = measure(maps, mask)
    assert metrics["auprc"] == pytest.approx(average_precision_score(mask.ravel(), maps.ravel()), abs=1e-9)
    thresholds = np.arange(1, 40) / 40
    overlaps = [((maps >= t - 1e-9) & mask).sum() / ((maps >= t - 1e-9) | mask).sum() for t in thresholds]
    assert metrics["iou_best"] == pytest.approx(max(overlaps))
    assert metrics["iou_half"] == pytest.approx(overlaps[19])


def test_tumor_sizes_by_the_fraction_of_the_image() -> None:
    masks = np.zeros((4, 100, 100), bool)
    for mask, side in zip(masks, (0, 9, 10, 30), strict=True):
        mask[:side, :side] = True
    assert tumor_sizes(masks) == ["", "below 1 %", "1 to 3 %", "3 % and more"]


def test_model_free_maps_do_not_depend_on_the_model() -> None:
    images = np.stack([head(n)[:96, :96] for n in range(3)])
    mean = np.zeros((96, 96), np.float32)
    mean[40, 50] = 1
    maps, again = model_free_maps(images, 0, mean), model_free_maps(images, 0, mean)
    assert list(maps) == ["random order", "blurred random", "center", "edges", "intensity", "mean training mask"]
    assert "mean training mask" not in model_free_maps(images, 0)
    for name, values in maps.items():
        assert values.shape == images.shape
        assert values.dtype == np.float32
        assert values.min() >= 0
        np.testing.assert_array_equal(values, again[name])
    assert np.unravel_index(maps["center"][0].argmax(), (96, 96)) in {(47, 47), (47, 48), (48, 47), (48, 48)}
    assert np.unravel_index(maps["mean training mask"][2].argmax(), (96, 96)) == (40, 50)
    for name in ("random order", "blurred random"):
        assert (maps[name][0] != maps[name][1]).any()
    middle = np.zeros((3, 96, 96), bool)
    middle[:, 40:56, 40:56] = True
    assert pointing_game(maps["center"], middle).tolist() == [1, 1, 1]
