"""Schedules, losses, optimizers and mixed images."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from brain_tumor.optimization import Loss, Mix, OptimizerParams, Schedule


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"kind": "constant"}, [1, 1, 1]),
        ({"kind": "linear"}, [1, 0.5, 0]),
        ({"kind": "cosine"}, [1, 0.5, 0]),
        ({"kind": "step", "every": 5, "factor": 0.1}, [1, 0.1, 0.01]),
        ({"kind": "linear", "warmup": 5.0}, [0, 1, 0]),
    ],
)
def test_schedules(schedule: dict[str, Any], expected: list[float]) -> None:
    made = Schedule.model_validate(schedule)
    assert [made.scale(epoch, 10) for epoch in (0, 5, 10)] == pytest.approx(expected)


def mean(loss: Loss, logits: Tensor, targets: Tensor, head: Any, weights: Tensor) -> Tensor:
    return loss.total(logits, targets, head, weights) / loss.weight(targets, head, weights)


def test_loss_balances_classes_by_their_frequency() -> None:
    logits, targets = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]]), torch.tensor([0, 1, 0])
    weights = torch.tensor([40 / 60, 40 / 20])  # of 30 and 10 training rows
    expected = nn.functional.cross_entropy(logits, targets, weights)
    torch.testing.assert_close(mean(Loss(balance=True), logits, targets, "softmax", weights), expected)
    one = logits[:, :1]
    expected = nn.functional.binary_cross_entropy_with_logits(
        one.squeeze(-1), torch.tensor([1.0, 0.0, 1.0]), pos_weight=torch.tensor(10 / 30)
    )
    torch.testing.assert_close(mean(Loss(balance=True), one, targets, "sigmoid", weights), expected)


def test_adamw_spares_biases_and_norms() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))
    optimizer = OptimizerParams(kind="adamw", lr=0.1, weight_decay=0.5).build(net.parameters())
    assert [(g["weight_decay"], len(g["params"])) for g in optimizer.param_groups] == [(0.5, 1), (0.0, 3)]


def test_plateau_lowers_the_rate_when_the_loss_no_longer_falls() -> None:
    made = Schedule(kind="plateau", every=2, factor=0.1)
    losses = [3.0, 2.0, 2.5, 2.1, 2.2, 2.3, 1.0]
    factors = [made.scale(epoch, 10, losses[:epoch]) for epoch in range(8)]
    assert factors == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_mixed_images_have_mixed_labels() -> None:
    torch.manual_seed(1)
    x, targets = torch.rand(6, 1, 8, 8), torch.arange(6) % 3
    for mix in (Mix(mixup=1.0), Mix(cutmix=1.0)):
        mixed, shares = mix(x, targets, 3)
        assert shares.shape == (6, 3)
        torch.testing.assert_close(shares.sum(1), torch.ones(6))
        assert not torch.equal(mixed, x)
    assert Mix()(x, targets, 3) == (x, targets)
