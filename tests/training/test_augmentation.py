"""Augmentation of batches: the effect of each operation, and reproducible sampling."""

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor

from brain_tumor.training.augmentation import Augmentation, apply_augmentations, sample_augmentations

OPERATIONS: TypeAdapter[Any] = TypeAdapter(list[Augmentation])


def augment(x: Tensor, *blocks: dict[str, Any], seed: int = 0) -> Tensor:
    """Augment a batch, and check that parts of it are augmented in the same way."""
    operations = OPERATIONS.validate_python(blocks)
    sampled = sample_augmentations(operations, x.shape, torch.Generator().manual_seed(seed))
    whole = apply_augmentations(x, operations, sampled, torch.arange(len(x)))
    parts = [apply_augmentations(x[i], operations, sampled, i) for i in torch.arange(len(x)).split(5)]
    torch.testing.assert_close(torch.cat(parts), whole)
    return whole


@pytest.fixture
def x() -> Tensor:
    return torch.rand(16, 1, 24, 24, generator=torch.Generator().manual_seed(3))


def test_augmentations_of_zero_strength_change_nothing(x: Tensor) -> None:
    blocks = ({"op": "flip", "p": 0}, {"op": "affine"}, {"op": "intensity"}, {"op": "noise", "sd": 0})
    torch.testing.assert_close(augment(x, *blocks), x, rtol=1e-4, atol=1e-5)


def test_flip_mirrors_left_and_right(x: Tensor) -> None:
    assert torch.equal(augment(x, {"op": "flip", "p": 1}), x.flip(-1))
    half = augment(x, {"op": "flip", "p": 0.5})
    flipped = (half == x.flip(-1)).flatten(1).all(1)
    assert 0 < flipped.sum() < 16
    assert torch.equal(half[~flipped], x[~flipped])


def test_affine_moves_within_its_limits() -> None:
    x = torch.zeros(64, 1, 65, 65)
    x[:, :, 31:34, 31:34] = 1
    position = augment(x, {"op": "affine", "shift": 0.2}).flatten(1).argmax(1)
    offset = torch.stack([position // 65 - 32, position % 65 - 32])
    assert offset.abs().max() <= 0.2 * 65 + 1
    assert offset.abs().max() > 0.1 * 65
    rotated = augment(x, {"op": "affine", "degrees": 90.0})
    assert (rotated.flatten(1).argmax(1) // 65 - 32).abs().max() <= 1


def test_erase_blacks_out_squares(x: Tensor) -> None:
    erased = augment(x + 0.01, {"op": "erase", "p": 1, "side": 0.5})
    black = erased == 0
    assert torch.equal(erased[~black], (x + 0.01)[~black])
    sides = black.any(-1).sum(-1).squeeze(), black.any(-2).sum(-1).squeeze()
    assert all(side.max() <= 13 for side in sides)
    assert (sides[0] > 0).sum() > 12
    assert torch.equal(augment(x, {"op": "erase", "p": 0}), x)


def test_augment_values_are_in_unit_range_and_differ_by_image(x: Tensor) -> None:
    intensity = {"op": "intensity", "gain": 0.9, "offset": 0.5, "gamma": 0.5}
    strong = augment(x[:1].expand(16, -1, -1, -1), intensity, {"op": "noise", "sd": 0.5})
    assert strong.min() >= 0
    assert strong.max() <= 1
    assert len(strong.flatten(1).mean(1).unique()) == 16


def test_sample_augmentations_same_seed_gives_same_result(x: Tensor) -> None:
    blocks = ({"op": "flip"}, {"op": "affine", "degrees": 20.0}, {"op": "noise", "sd": 0.1})
    assert torch.equal(augment(x, *blocks), augment(x, *blocks))
    assert not torch.equal(augment(x, *blocks), augment(x, *blocks, seed=1))
