"""Augmentation of batches: what each operation does, and that the draws are reproducible."""

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor

from brain_tumor.augment import Augmentation, augment, draw

OPERATIONS: TypeAdapter[Any] = TypeAdapter(list[Augmentation])


def apply(x: Tensor, *operations: dict[str, Any], seed: int = 0) -> Tensor:
    made = OPERATIONS.validate_python(operations)
    drawn = draw(made, x.shape, torch.Generator().manual_seed(seed))
    whole = augment(x, made, drawn, torch.arange(len(x)))
    # Who computes which image changes nothing.
    parts = [augment(x[mine], made, drawn, mine) for mine in torch.arange(len(x)).split(5)]
    torch.testing.assert_close(torch.cat(parts), whole)
    return whole


@pytest.fixture
def x() -> Tensor:
    return torch.rand(16, 1, 24, 24, generator=torch.Generator().manual_seed(3))


def test_operations_of_no_strength_change_nothing(x: Tensor) -> None:
    idle = ({"op": "flip", "p": 0}, {"op": "affine"}, {"op": "intensity"}, {"op": "noise", "sd": 0})
    torch.testing.assert_close(apply(x, *idle), x, rtol=1e-4, atol=1e-5)


def test_flip_mirrors_left_and_right(x: Tensor) -> None:
    assert torch.equal(apply(x, {"op": "flip", "p": 1}), x.flip(-1))
    half = apply(x, {"op": "flip", "p": 0.5})
    flipped = (half == x.flip(-1)).flatten(1).all(1)
    assert 0 < flipped.sum() < 16
    assert torch.equal(half[~flipped], x[~flipped])


def test_affine_moves_within_its_limits() -> None:
    x = torch.zeros(64, 1, 65, 65)
    x[:, :, 31:34, 31:34] = 1
    moved = apply(x, {"op": "affine", "shift": 0.2})
    place = moved.flatten(1).argmax(1)
    offset = torch.stack([place // 65 - 32, place % 65 - 32])
    assert offset.abs().max() <= 0.2 * 65 + 1
    assert offset.abs().max() > 0.1 * 65
    turned = apply(x, {"op": "affine", "degrees": 90.0})
    assert (turned.flatten(1).argmax(1) // 65 - 32).abs().max() <= 1


def test_erasing_blacks_out_squares(x: Tensor) -> None:
    erased = apply(x + 0.01, {"op": "erase", "p": 1, "side": 0.5})
    black = erased == 0
    assert torch.equal(erased[~black], (x + 0.01)[~black])
    sides = black.any(-1).sum(-1).squeeze(), black.any(-2).sum(-1).squeeze()
    assert all(side.max() <= 13 for side in sides)
    assert (sides[0] > 0).sum() > 12
    assert torch.equal(apply(x, {"op": "erase", "p": 0}), x)


def test_values_stay_within_zero_and_one_and_differ_from_image_to_image(x: Tensor) -> None:
    strong = apply(x[:1].expand(16, -1, -1, -1), {"op": "intensity", "gain": 0.9, "offset": 0.5, "gamma": 0.5},
                   {"op": "noise", "sd": 0.5})  # fmt: skip
    assert strong.min() >= 0
    assert strong.max() <= 1
    assert len(strong.flatten(1).mean(1).unique()) == 16


def test_same_seed_same_draw(x: Tensor) -> None:
    operations = ({"op": "flip"}, {"op": "affine", "degrees": 20.0}, {"op": "noise", "sd": 0.1})
    assert torch.equal(apply(x, *operations), apply(x, *operations))
    assert not torch.equal(apply(x, *operations), apply(x, *operations, seed=1))
