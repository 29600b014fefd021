"""Faithfulness of heat maps, for models simple enough that the pixels they use are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain_tumor.attribution.faithfulness import (
    CURVE_STEPS,
    ROAD_FRACTIONS,
    ROAD_NOISE_SD,
    area_under_curves,
    deletion_curves,
    impute,
    insertion_curves,
    normalized_infidelity,
    rank_pixels,
    road,
)
from brain_tumor.core.types import Floats, Gray, Maps
from brain_tumor.models.classifier import Classifier
from explained import make_two_maps
from nets import CPU

SIDE = 32
TARGETS = np.zeros(2, np.int64)


def predict_by_corner(images: Gray) -> Floats:
    """A model whose probability of class 0 is the brightness of the upper left quarter."""
    p = images[:, : SIDE // 2, : SIDE // 2].mean((1, 2)) / 255
    return np.stack([p, 1 - p], 1)


def make_images() -> Gray:
    images = np.full((2, SIDE, SIDE), 40, np.uint8)
    images[:, : SIDE // 2, : SIDE // 2] = 200
    return images


def make_quarter(top: int, left: int) -> Maps:
    maps = np.zeros((2, SIDE, SIDE), np.float32)
    maps[:, top : top + SIDE // 2, left : left + SIDE // 2] = 1
    return maps


def test_rank_pixels_orders_by_value_and_breaks_ties_by_seed() -> None:
    maps = np.array([[[3.0, 0.0], [1.0, 0.0]]], np.float32)
    ranks = rank_pixels(maps, 0)
    assert ranks[0, 0, 0] == 0
    assert ranks[0, 1, 0] == 1
    assert sorted([ranks[0, 0, 1], ranks[0, 1, 1]]) == [2, 3]
    constant = np.zeros((1, 8, 8), np.float32)
    np.testing.assert_array_equal(rank_pixels(constant, 1), rank_pixels(constant, 1))
    assert (rank_pixels(constant, 1) != rank_pixels(constant, 2)).any()


@given(st.integers(0, 99))
def test_rank_pixels_is_a_permutation(seed: int) -> None:
    maps = np.random.default_rng(seed).integers(0, 3, (2, 5, 5)).astype(np.float32)
    for ranks, values in zip(rank_pixels(maps, seed), maps, strict=True):
        assert sorted(ranks.ravel()) == list(range(25))
        assert (np.diff(values.ravel()[np.argsort(ranks.ravel())]) <= 0).all()


def test_deletion_and_insertion_curves_of_relevant_pixels() -> None:
    used, unused = make_quarter(0, 0), make_quarter(SIDE // 2, SIDE // 2)
    curves = deletion_curves(predict_by_corner, make_images(), used, TARGETS, 0)
    assert curves.shape == (2, CURVE_STEPS + 1)
    assert curves[:, 0] == pytest.approx(200 / 255)
    assert curves[:, CURVE_STEPS // 4] == pytest.approx(0)
    # A quarter of the pixels, then nothing: a triangle.
    assert area_under_curves(curves) == pytest.approx(200 / 255 / 8)
    assert area_under_curves(deletion_curves(predict_by_corner, make_images(), unused, TARGETS, 0))[0] > 0.4
    restored = insertion_curves(predict_by_corner, make_images(), used, TARGETS, 0)
    assert restored[:, -1] == pytest.approx(200 / 255)
    assert restored[:, CURVE_STEPS // 4] == pytest.approx(200 / 255)
    restored_unused = insertion_curves(predict_by_corner, make_images(), unused, TARGETS, 0)
    assert (area_under_curves(restored) > area_under_curves(restored_unused)).all()


def test_road_of_used_unused_and_uniform_maps() -> None:
    images = make_images() + np.random.default_rng(0).integers(0, 20, (2, SIDE, SIDE)).astype(np.uint8)
    used = road(predict_by_corner, images, make_quarter(0, 0), TARGETS, 0)
    unused = road(predict_by_corner, images, 1 - make_quarter(0, 0), TARGETS, 0)
    uniform = road(predict_by_corner, images, np.ones((2, SIDE, SIDE), np.float32), TARGETS, 0)
    assert (used > 0.15).all()
    assert unused == pytest.approx(-used, abs=0.05)
    assert uniform == pytest.approx([0, 0], abs=0.02)


@pytest.mark.parametrize("fraction", ROAD_FRACTIONS)
def test_impute_equals_the_dense_solution(fraction: float) -> None:
    """By definition, each removed pixel is the weighted mean of its neighbors."""
    random = np.random.default_rng(0)
    image, removed = random.integers(0, 255, (9, 7)).astype(np.uint8), random.random((9, 7)) < fraction
    result = impute(image, removed, np.random.default_rng(1))
    positions = [tuple(position) for position in np.argwhere(removed)]
    system, right_side = np.eye(len(positions)), np.zeros(len(positions))
    for k, (y, x) in enumerate(positions):
        around = [(y + a, x + b, 2 if 0 in (a, b) else 1) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]
        around = [(r, c, w) for r, c, w in around if 0 <= r < 9 and 0 <= c < 7]
        total = sum(w for *_, w in around)
        for r, c, w in around:
            if removed[r, c]:
                system[k, positions.index((r, c))] -= w / total
            else:
                right_side[k] += w / total * image[r, c]
    expected = np.linalg.solve(system, right_side)
    assert np.abs(result[removed] - expected).max() <= 5 * 255 * ROAD_NOISE_SD
    assert (result[~removed] == image[~removed]).all()


def test_impute_all_pixels_removed_is_black_with_noise() -> None:
    assert impute(np.full((4, 4), 9, np.uint8), np.ones((4, 4), bool), np.random.default_rng(0)).max() < 20


def measure_infidelity(model: Classifier, images: Gray, maps: Maps) -> Floats:
    return normalized_infidelity(model, images, maps, np.zeros(len(images), np.int64), CPU, 0)


def test_normalized_infidelity_exact_linear_explanation_is_zero() -> None:
    """Class 0 of the network is 3/64 of the sum of the image: the image itself explains every square."""
    images = np.random.default_rng(0).integers(0, 255, (3, 8, 8)).astype(np.uint8)
    exact = measure_infidelity(make_two_maps(), images, (images / 255).astype(np.float32))
    assert exact == pytest.approx(np.zeros(3), abs=1e-5)
    inverse = measure_infidelity(make_two_maps(), images, ((255 - images) / 255).astype(np.float32))
    assert ((inverse > 0.005) & (inverse < 1)).all()


def test_normalized_infidelity_empty_map_or_constant_score_is_nan() -> None:
    images, maps = np.full((2, 8, 8), 128, np.uint8), np.ones((2, 8, 8), np.float32)
    constant = make_two_maps()
    constant.backbone.head.weight.data[:] = 0
    assert np.isnan(measure_infidelity(constant, images, maps)).all()
    assert np.isnan(measure_infidelity(make_two_maps(), images, maps * 0)).all()


def test_normalized_infidelity_without_images_is_empty() -> None:
    images = np.zeros((0, 8, 8), np.uint8)
    assert measure_infidelity(make_two_maps(), images, images.astype(np.float32)).shape == (0,)
