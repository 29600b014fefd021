"""Estimates of the correlation after alignment."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from brain_tumor.audit.screening import MIN_ESTIMATE, SCREEN_SIDE, estimate_correlations, reduce_thumbnails
from brain_tumor.audit.thumbnails import make_thumbnails
from brain_tumor.audit.transforms import TRANSFORMS, apply_transform, dihedral_tables
from brain_tumor.core.types import Floats, Gray
from heads import head

ALL = len(TRANSFORMS)


def estimate(one: Gray, other: Gray) -> Floats:
    """Estimate the correlations of two images by transform, the better one of frame and head."""
    thumbnails = [make_thumbnails(image) for image in (one, other)]
    reduced = [reduce_thumbnails(np.stack(kind)) for kind in zip(*[pair[:2] for pair in thumbnails], strict=True)]
    estimates = estimate_correlations(reduced, np.array([0]), np.array([1]), np.ones((1, 2, ALL), bool))
    result: Floats = estimates[0].max(0)
    return result


def test_reduce_thumbnails_blocks_are_added_up() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64)).astype(np.uint8)
    reduced = reduce_thumbnails(images)
    assert reduced.shape == (3, SCREEN_SIDE, SCREEN_SIDE)
    assert reduced[1, 2, 3] == images[1, 8:12, 12:16].sum()
    assert (reduce_thumbnails(np.full((1, 64, 64), 255, np.uint8)) == 4080).all()


@pytest.mark.parametrize("transform", range(ALL))
def test_estimate_correlations_finds_the_transform(transform: int) -> None:
    values = estimate(apply_transform(head(3), transform), head(3))
    assert values[transform] == 1
    assert (np.delete(values, transform) < 0.95).all()


@pytest.mark.parametrize("seed", range(6))
def test_estimate_correlations_small_motion_and_text_matter_little(seed: int) -> None:
    original = head(seed, 224)
    moved = Image.fromarray(original).rotate(4, translate=(5, -4), resample=Image.Resampling.BILINEAR)
    ImageDraw.Draw(moved).text((4, 4), "R 12", fill=255, font_size=24)
    assert estimate(original, np.asarray(moved))[0] > MIN_ESTIMATE
    assert estimate(original, head(seed + 100, 224))[0] < MIN_ESTIMATE


def test_estimate_correlations_order_of_the_images_and_of_the_pairs_does_not_matter() -> None:
    images = [head(seed) for seed in range(4)] + [apply_transform(head(seed), seed) for seed in range(4)]
    thumbnails = [make_thumbnails(image) for image in images]
    reduced = [reduce_thumbnails(np.stack(kind)) for kind in zip(*[pair[:2] for pair in thumbnails], strict=True)]
    first, second = np.triu_indices(8, 1)
    views = np.random.default_rng(0).random((len(first), 2, ALL)) < 0.5
    values = estimate_correlations(reduced, first, second, views)
    assert ((values == -1) == ~views).all()
    inverse = dihedral_tables()[1]
    assert np.array_equal(estimate_correlations(reduced, second, first, views[..., inverse])[..., inverse], values)
    order = np.random.default_rng(1).permutation(len(first))
    shuffled = estimate_correlations(reduced, first[order], second[order], views[order])
    assert np.array_equal(shuffled, values[order])


def test_estimate_correlations_head_too_dark_to_be_judged_is_one() -> None:
    dark = np.zeros((2, 64, 64), np.uint8)
    dark[:, 20:40, 20:40] = 5
    reduced = reduce_thumbnails(dark)
    values = estimate_correlations([reduced], np.array([0]), np.array([1]), np.ones((1, 1, ALL), bool))
    assert (values == 1).all()


def test_estimate_correlations_no_pairs_give_none() -> None:
    none = np.array([], np.int64)
    values = estimate_correlations([np.zeros((2, 16, 16), np.uint16)], none, none, np.ones((0, 1, ALL), bool))
    assert values.shape == (0, 1, ALL)
