"""Optimizer, learning-rate schedule and loss of a recipe."""

import math
from collections.abc import Iterable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from brain_tumor.classifier import Head
from brain_tumor.params import Block


class Schedule(Block):
    """Learning rate over the run: linear warm-up for `warmup` epochs, then `kind`.

    `step` multiplies by `factor` every `every` epochs; `linear` and `cosine` end at zero.
    """

    kind: Literal["constant", "linear", "cosine", "step"]
    warmup: float = Field(0.0, ge=0)
    every: int = Field(10, ge=1)
    factor: float = Field(0.1, gt=0, le=1)

    def scale(self, epoch: float, epochs: int) -> float:
        """Factor on the learning rate at a point of the run, in epochs (fractions between steps)."""
        if epoch < self.warmup:
            return epoch / self.warmup
        done = (epoch - self.warmup) / max(epochs - self.warmup, 1e-9)
        if self.kind == "linear":
            return 1 - done
        if self.kind == "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        return self.factor ** int(epoch // self.every) if self.kind == "step" else 1.0


class OptimizerParams(Block):
    """Optimizer; weight decay spares biases and norm layers with AdamW alone, as is usual."""

    kind: Literal["adam", "adamw", "sgd"]
    lr: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Make the optimizer for the parameters that require a gradient."""
        trained = [p for p in parameters if p.requires_grad]
        if self.kind == "sgd":
            return torch.optim.SGD(
                trained, self.lr, self.momentum, weight_decay=self.weight_decay, nesterov=self.momentum > 0
            )
        if self.kind == "adam":
            return torch.optim.Adam(trained, self.lr, weight_decay=self.weight_decay, fused=True)
        groups = [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, self.lr, fused=True)


class Loss(Block):
    """Cross-entropy, or with the sigmoid head binary cross-entropy.

    `balance` weights classes by the inverse of their frequency among the training rows (`pos_weight` with
    the sigmoid head).
    """

    label_smoothing: float = Field(0.0, ge=0, lt=1)
    balance: bool = False

    def __call__(self, logits: Tensor, targets: Tensor, head: Head, class_weights: Tensor) -> Tensor:
        """Mean loss of a batch.

        Args:
            logits: (N, classes), or (N, 1) for the first class.
            targets: (N,) class numbers.
            class_weights: (classes,) inverse frequency of each class among the training rows.
        """
        if head == "sigmoid":
            wanted = (targets == 0).to(logits.dtype)
            wanted = wanted * (1 - self.label_smoothing) + self.label_smoothing / 2
            weight = class_weights[0] / class_weights[1] if self.balance else None
            return binary_cross_entropy_with_logits(logits.squeeze(-1), wanted, pos_weight=weight)
        weights = class_weights if self.balance else None
        return cross_entropy(logits, targets, weights, label_smoothing=self.label_smoothing)
