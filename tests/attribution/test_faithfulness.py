"""Deletion and insertion with imputation, on models whose use of the pixels is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain_tumor.attribution.control_maps import model_free_maps, shift_maps
from brain_tumor.attribution.faithfulness import (
    CELL_COUNTS,
    GRID,
    IMPUTATION_NOISE_SD,
    deletion_curves,
    impute,
    insertion_curves,
    pool_cells,
    rank_cells,
)
from brain_tumor.core.types import Floats, Gray, Maps

SIDE = 64
SPOT = slice(20, 28)  # two cells of four pixels, in each direction
TARGETS = np.zeros(12, np.int64)


def predict_by_spot(images: Gray) -> Floats:
    """A model whose probability of class 0 is how much brighter the spot is than its surroundings."""
    spot, around = images[:, SPOT, SPOT].mean((1, 2)), images[:, 12:36, 12:36].mean((1, 2))
    p = ((spot - around) / 150).clip(0, 1)
    return np.stack([p, 1 - p], 1)


def make_images() -> Gray:
    images = np.random.default_rng(0).integers(60, 80, (12, SIDE, SIDE))
    images[:, SPOT, SPOT] += 150
    return images.astype(np.uint8)


def make_oracle() -> Maps:
    maps = np.zeros((12, SIDE, SIDE), np.float32)
    maps[:, SPOT, SPOT] = 1
    return maps


def test_pool_cells_averages_blocks_of_any_size() -> None:
    maps = np.arange(2 * 37 * 50, dtype=np.float32).reshape(2, 37, 50)
    pooled = pool_cells(maps, 4)
    rows, columns = (np.arange(side) * 4 // side for side in (37, 50))
    for y, x in np.ndindex(4, 4):
        expected = maps[:, rows == y][:, :, columns == x].mean((1, 2))
        np.testing.assert_allclose(pooled[:, y, x], expected)
    assert pool_cells(maps[:, :3, :3], 16).shape == (2, 3, 3), "no more cells than pixels"


@given(st.integers(0, 99))
def test_rank_cells_is_a_permutation_of_the_cells(seed: int) -> None:
    maps = np.random.default_rng(seed).integers(0, 3, (2, 40, 40)).astype(np.float32)
    for ranks, pooled in zip(rank_cells(maps, seed), pool_cells(maps), strict=True):
        centers = np.flatnonzero(np.diff(np.arange(40) * GRID // 40, prepend=-1))
        by_cell = ranks[np.ix_(centers, centers)]
        assert sorted(by_cell.ravel()) == list(range(GRID**2))
        assert (np.diff(pooled.ravel()[np.argsort(by_cell.ravel())]) <= 0).all()


def test_rank_cells_breaks_ties_by_seed() -> None:
    constant = np.zeros((1, 32, 32), np.float32)
    np.testing.assert_array_equal(rank_cells(constant, 1), rank_cells(constant, 1))
    assert (rank_cells(constant, 1) != rank_cells(constant, 2)).any()


def test_deletion_and_insertion_of_the_pixels_that_are_used() -> None:
    images, oracle = make_images(), make_oracle()
    full = predict_by_spot(images)[:, 0]
    deleted = deletion_curves(predict_by_spot, images, oracle, TARGETS, 0)
    assert deleted.shape == (12, len(CELL_COUNTS))
    assert (deleted < 0.1).all(), "the spot is the first four cells"
    inserted = insertion_curves(predict_by_spot, images, oracle, TARGETS, 0)
    assert (inserted > full[:, None] - 0.1).all()
    unused = 1 - oracle
    assert (deletion_curves(predict_by_spot, images, unused, TARGETS, 0) > 0.5).all()


def test_only_the_oracle_beats_all_control_maps() -> None:
    """What must pass does, and of what must not, nothing comes near; the maps are as smooth as cells in all cases."""
    images, oracle = make_images(), make_oracle()
    controls = model_free_maps(images, 0)
    del controls["intensity"], controls["edges"]  # they find a bright spot without a model
    controls["shifted map"] = shift_maps(oracle, 0)
    gains = {
        name: deletion_curves(predict_by_spot, images, maps, TARGETS, 0).mean(1)
        - deletion_curves(predict_by_spot, images, oracle, TARGETS, 0).mean(1)
        for name, maps in controls.items()
    }
    assert {name for name, values in gains.items() if values.mean() > 0.2} == set(controls)


def test_shift_maps_keeps_the_values_and_moves_them() -> None:
    oracle = make_oracle()
    shifted = shift_maps(oracle, 0)
    np.testing.assert_array_equal(np.sort(shifted.reshape(12, -1)), np.sort(oracle.reshape(12, -1)))
    assert not (shifted * oracle).any(), "each map moves by at least a quarter of the side"
    np.testing.assert_array_equal(shifted, shift_maps(oracle, 0))


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_impute_smooth_image_is_restored(fraction: float) -> None:
    """A plane, of which scattered pixels are removed, comes back within a few gray levels; the others are unchanged."""
    y, x = np.mgrid[:48, :64]
    image = (50 + y + 2 * x).astype(np.uint8)
    removed = np.random.default_rng(0).random(image.shape) < fraction
    result = impute(image, removed, np.random.default_rng(1))
    assert np.abs(result[removed].astype(float) - image[removed]).mean() < 8
    assert (result[~removed] == image[~removed]).all()


def test_impute_hole_takes_the_level_around_it_not_black() -> None:
    image, removed = np.full((64, 64), 120, np.uint8), np.zeros((64, 64), bool)
    removed[10:50, 20:60] = True
    image[removed] = 255
    result = impute(image, removed, np.random.default_rng(0))
    assert np.abs(result[removed].astype(float) - 120).max() <= 6 * 255 * IMPUTATION_NOISE_SD


def test_impute_all_pixels_removed_is_black_with_noise() -> None:
    assert impute(np.full((4, 4), 9, np.uint8), np.ones((4, 4), bool), np.random.default_rng(0)).max() < 20
