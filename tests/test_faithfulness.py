"""Faithfulness of heat maps: models simple enough to know what they use."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_explain import two_maps

from brain_tumor import faithfulness
from brain_tumor.faithfulness import NOISE, REMOVED, STEPS, area, deletion, impute, insertion, ranks, road

CPU = torch.device("cpu")
SIDE = 32
TARGETS = np.zeros(2, np.int64)


def corner_is_bright(images: np.ndarray) -> np.ndarray:
    """A model whose class 0 is how bright the upper left quarter is."""
    p = images[:, : SIDE // 2, : SIDE // 2].mean((1, 2)) / 255
    return np.stack([p, 1 - p], 1)


def images() -> np.ndarray:
    found = np.full((2, SIDE, SIDE), 40, np.uint8)
    found[:, : SIDE // 2, : SIDE // 2] = 200
    return found


def quarter(top: int, left: int) -> np.ndarray:
    maps = np.zeros((2, SIDE, SIDE), np.float32)
    maps[:, top : top + SIDE // 2, left : left + SIDE // 2] = 1
    return maps


def test_ranks_are_those_of_the_values_and_ties_fall_by_the_seed() -> None:
    maps = np.array([[[3.0, 0.0], [1.0, 0.0]]], np.float32)
    found = ranks(maps, 0)
    assert found[0, 0, 0] == 0
    assert found[0, 1, 0] == 1
    assert sorted([found[0, 0, 1], found[0, 1, 1]]) == [2, 3]
    flat = np.zeros((1, 8, 8), np.float32)
    np.testing.assert_array_equal(ranks(flat, 1), ranks(flat, 1))
    assert (ranks(flat, 1) != ranks(flat, 2)).any()


@given(st.integers(0, 99))
def test_ranks_are_a_permutation(seed: int) -> None:
    maps = np.random.default_rng(seed).integers(0, 3, (2, 5, 5)).astype(np.float32)
    for places, values in zip(ranks(maps, seed), maps, strict=True):
        assert sorted(places.ravel()) == list(range(25))
        assert (np.diff(values.ravel()[np.argsort(places.ravel())]) <= 0).all()


def test_deletion_and_insertion_of_what_the_model_uses() -> None:
    good, bad = quarter(0, 0), quarter(SIDE // 2, SIDE // 2)
    curve = deletion(corner_is_bright, images(), good, TARGETS, 0)
    assert curve.shape == (2, STEPS + 1)
    assert curve[:, 0] == pytest.approx(200 / 255)
    assert curve[:, STEPS // 4] == pytest.approx(0)
    # A quarter of the pixels, then nothing: a triangle.
    assert area(curve) == pytest.approx(200 / 255 / 8)
    assert area(deletion(corner_is_bright, images(), bad, TARGETS, 0))[0] > 0.4
    restored = insertion(corner_is_bright, images(), good, TARGETS, 0)
    assert restored[:, -1] == pytest.approx(200 / 255)
    assert restored[:, STEPS // 4] == pytest.approx(200 / 255)
    assert (area(restored) > area(insertion(corner_is_bright, images(), bad, TARGETS, 0))).all()


def test_road_of_what_the_model_uses_of_what_it_does_not_and_of_nothing() -> None:
    pictures = images() + np.random.default_rng(0).integers(0, 20, (2, SIDE, SIDE)).astype(np.uint8)
    good = road(corner_is_bright, pictures, quarter(0, 0), TARGETS, 0)
    bad = road(corner_is_bright, pictures, 1 - quarter(0, 0), TARGETS, 0)
    blind = road(corner_is_bright, pictures, np.ones((2, SIDE, SIDE), np.float32), TARGETS, 0)
    assert (good > 0.15).all()
    assert bad == pytest.approx(-good, abs=0.05)
    assert blind == pytest.approx([0, 0], abs=0.02)


@pytest.mark.parametrize("share", REMOVED)
def test_removed_pixels_are_the_mean_of_their_neighbors(share: float) -> None:
    """Against the definition, solved densely: each removed pixel is the weighted mean of those around it."""
    random = np.random.default_rng(0)
    image, gone = random.integers(0, 255, (9, 7)).astype(np.uint8), random.random((9, 7)) < share
    found = impute(image, gone, np.random.default_rng(1))
    places = [tuple(place) for place in np.argwhere(gone)]
    system, known = np.eye(len(places)), np.zeros(len(places))
    for k, (y, x) in enumerate(places):
        around = [(y + a, x + b, 2 if 0 in (a, b) else 1) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]
        around = [(r, c, w) for r, c, w in around if 0 <= r < 9 and 0 <= c < 7]
        total = sum(w for *_, w in around)
        for r, c, w in around:
            if gone[r, c]:
                system[k, places.index((r, c))] -= w / total
            else:
                known[k] += w / total * image[r, c]
    expected = np.linalg.solve(system, known)
    assert np.abs(found[gone] - expected).max() <= 5 * 255 * NOISE
    assert (found[~gone] == image[~gone]).all()


def test_nothing_left_to_impute_from() -> None:
    assert impute(np.full((4, 4), 9, np.uint8), np.ones((4, 4), bool), np.random.default_rng(0)).max() < 20


def test_infidelity_is_zero_for_what_explains_a_linear_score() -> None:
    """Class 0 of the net is 3/64 of the sum of the image: the image itself explains every square."""
    pictures = np.random.default_rng(0).integers(0, 255, (3, 8, 8)).astype(np.uint8)
    targets = np.zeros(3, np.int64)
    exact = faithfulness.unexplained(two_maps(), pictures, (pictures / 255).astype(np.float32), targets, CPU, 0)
    assert exact == pytest.approx(np.zeros(3), abs=1e-5)
    inverse = ((255 - pictures) / 255).astype(np.float32)
    wrong = faithfulness.unexplained(two_maps(), pictures, inverse, targets, CPU, 0)
    assert ((wrong > 0.005) & (wrong < 1)).all()


def test_max_sensitivity_of_a_map_that_is_the_image() -> None:
    """Grad-CAM of class 0 is the image times a constant: it moves as far as the noise does."""
    pictures = np.full((2, 8, 8), 128, np.uint8)
    found, again = (
        faithfulness.sensitivity("grad-cam", two_maps(), pictures, np.zeros(2, np.int64), "last", CPU, 0)
        for _ in range(2)
    )
    assert ((found > 0) & (found <= 0.02 / (128 / 255) * 1.0001)).all()
    np.testing.assert_array_equal(found, again)


def test_of_empty_maps_and_flat_scores_nothing_is_said() -> None:
    pictures, targets = np.full((2, 8, 8), 128, np.uint8), np.zeros(2, np.int64)
    flat = two_maps()
    flat.backbone.head.weight.data[:] = 0
    maps = np.ones((2, 8, 8), np.float32)
    assert np.isnan(faithfulness.unexplained(flat, pictures, maps, targets, CPU, 0)).all()
    assert np.isnan(faithfulness.unexplained(two_maps(), pictures, maps * 0, targets, CPU, 0)).all()
    assert np.isnan(faithfulness.sensitivity("grad-cam", flat, pictures, targets, "last", CPU, 0)).all()


def test_no_images_no_figures() -> None:
    none = np.zeros((0, 8, 8), np.uint8)
    assert faithfulness.unexplained(two_maps(), none, none.astype(np.float32), TARGETS[:0], CPU, 0).shape == (0,)
