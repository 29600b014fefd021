"""Learning-rate schedules, losses and optimizers."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from brain_tumor.training.optim import Loss, OptimizerParams, Schedule


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"kind": "constant"}, [1, 1, 1]),
        ({"kind": "linear"}, [1, 0.5, 0]),
        ({"kind": "cosine"}, [1, 0.5, 0]),
        ({"kind": "step", "every": 5, "factor": 0.1}, [1, 0.1, 0.01]),
        ({"kind": "linear", "warmup": 5.0}, [0, 1, 0]),
    ],
)
def test_lr_factor_at_start_middle_and_end(block: dict[str, Any], expected: list[float]) -> None:
    schedule = Schedule.model_validate(block)
    assert [schedule.lr_factor(epoch, 10) for epoch in (0, 5, 10)] == pytest.approx(expected)


def test_lr_factor_plateau_falls_when_the_loss_no_longer_falls() -> None:
    schedule = Schedule(kind="plateau", every=2, factor=0.1)
    losses = [3.0, 2.0, 2.5, 2.1, 2.2, 2.3, 1.0]
    factors = [schedule.lr_factor(epoch, 10, losses[:epoch]) for epoch in range(8)]
    assert factors == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize(
    "block",
    [
        {"kind": "constant"},
        {"kind": "linear", "warmup": 0.7},
        {"kind": "cosine", "warmup": 2.5},
        {"kind": "step", "every": 2, "factor": 0.3},
        {"kind": "plateau", "every": 1, "factor": 0.3},
    ],
)
def test_build_schedule_sets_rate_by_step_and_group(block: dict[str, Any]) -> None:
    schedule, epochs, steps = Schedule.model_validate(block), 6, 7
    optimizer = OptimizerParams(kind="adamw", lr=0.003).build(nn.Linear(3, 3).parameters())
    losses: list[float] = []
    scheduler = schedule.build(optimizer, epochs, steps, losses)
    for epoch in range(epochs):
        for step in range(steps):
            if epoch or step:
                scheduler.step()
            rate = 0.003 * schedule.lr_factor(epoch + (step + 1) / steps, epochs, losses)
            assert [group["lr"] for group in optimizer.param_groups] == [rate, rate]
            optimizer.step()
        losses.append([3.0, 2.0, 2.5, 2.1, 1.0, 1.5][epoch])


def mean(loss: Loss, logits: Tensor, targets: Tensor, head: Any, weights: Tensor) -> Tensor:
    return loss.loss_sum(logits, targets, head, weights) / loss.normalizer(targets, head, weights)


def test_loss_balance_weights_classes_by_inverse_frequency() -> None:
    logits, targets = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]]), torch.tensor([0, 1, 0])
    weights = torch.tensor([40 / 60, 40 / 20])  # of 30 and 10 training rows
    expected = nn.functional.cross_entropy(logits, targets, weights)
    torch.testing.assert_close(mean(Loss(balance=True), logits, targets, "softmax", weights), expected)
    first = logits[:, :1]
    expected = nn.functional.binary_cross_entropy_with_logits(
        first.squeeze(-1), torch.tensor([1.0, 0.0, 1.0]), pos_weight=torch.tensor(10 / 30)
    )
    torch.testing.assert_close(mean(Loss(balance=True), first, targets, "sigmoid", weights), expected)


def test_build_adamw_excludes_biases_and_norms_from_weight_decay() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))
    optimizer = OptimizerParams(kind="adamw", lr=0.1, weight_decay=0.5).build(net.parameters())
    assert [(g["weight_decay"], len(g["params"])) for g in optimizer.param_groups] == [(0.5, 1), (0.0, 3)]
