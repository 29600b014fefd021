"""Optimizer, learning-rate schedule and loss of a recipe."""

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot
from torch.optim.lr_scheduler import LambdaLR

from brain_tumor.core.params import Block
from brain_tumor.models.calibration import Head


class Schedule(Block):
    """Learning-rate schedule: linear warm-up for `warmup` epochs, then `kind`.

    `step` multiplies by `factor` every `every` epochs; `plateau` does so whenever the validation loss has not
    reached a new minimum for `every` epochs; `linear` and `cosine` end at zero.
    """

    kind: Literal["constant", "linear", "cosine", "step", "plateau"]
    warmup: float = Field(0.0, ge=0)
    every: int = Field(10, ge=1)
    factor: float = Field(0.1, gt=0, le=1)

    def build(
        self, optimizer: torch.optim.Optimizer, epochs: int, steps_per_epoch: int, val_losses: Sequence[float]
    ) -> LambdaLR:
        """Make the scheduler, which sets the learning rate of each step.

        Args:
            val_losses: validation losses of the epochs so far, to which the caller appends; `plateau` reads them.
        """

        def factor_of_step(step: int) -> float:
            epoch, step_of_epoch = divmod(step, steps_per_epoch)
            return self.lr_factor(epoch + (step_of_epoch + 1) / steps_per_epoch, epochs, val_losses)

        return LambdaLR(optimizer, factor_of_step)

    def lr_factor(self, epoch: float, epochs: int, val_losses: Sequence[float] = ()) -> float:
        """Compute the factor on the learning rate.

        Args:
            epoch: epochs done, 0 to `epochs`; a fraction within an epoch.
            epochs: number of epochs of the whole run.
            val_losses: validation losses of the epochs so far.
        """
        if epoch < self.warmup:
            return epoch / self.warmup
        progress = (epoch - self.warmup) / max(epochs - self.warmup, 1e-9)
        if self.kind == "linear":
            return 1 - progress
        if self.kind == "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        if self.kind == "plateau":
            return self.factor ** self._num_plateaus(val_losses)
        return self.factor ** int(epoch // self.every) if self.kind == "step" else 1.0

    def _num_plateaus(self, losses: Sequence[float]) -> int:
        """Count how often the loss stayed above its minimum for `every` epochs in a row."""
        minimum, epochs_without_improvement, count = math.inf, 0, 0
        for loss in losses:
            minimum, epochs_without_improvement = (
                (loss, 0) if loss < minimum else (minimum, epochs_without_improvement + 1)
            )
            if epochs_without_improvement == self.every:
                count, epochs_without_improvement = count + 1, 0
        return count


class OptimizerParams(Block):
    """Optimizer; as usual, only AdamW excludes biases and norm layers from weight decay.

    Attributes:
        kind: `adam`, `adamw`, or `sgd` with Nesterov momentum.
        lr: peak learning rate, which the schedule scales.
        weight_decay: coefficient; decoupled with `adamw`, an L2 penalty otherwise.
        momentum: only for `sgd`.
        clip: maximum norm of the gradient of all parameters together; a larger gradient is scaled down. None: no limit.
    """

    kind: Literal["adam", "adamw", "sgd"]
    lr: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    clip: float | None = Field(None, gt=0)

    def build(self, parameters: Iterable[nn.Parameter], fused: bool = True) -> torch.optim.Optimizer:
        """Make the optimizer for the parameters that require a gradient.

        Args:
            fused: one kernel for all parameters, which is faster.
        """
        trainable = [p for p in parameters if p.requires_grad]
        if self.kind == "sgd":
            decay, nesterov = self.weight_decay, self.momentum > 0
            return torch.optim.SGD(
                trainable, self.lr, self.momentum, weight_decay=decay, nesterov=nesterov, fused=fused
            )
        if self.kind == "adam":
            return torch.optim.Adam(trainable, self.lr, weight_decay=self.weight_decay, fused=fused)
        groups = [
            {"params": [p for p in trainable if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, self.lr, fused=fused)


class Loss(Block):
    """Cross-entropy, or binary cross-entropy with the sigmoid head.

    Attributes:
        label_smoothing: probability that is spread evenly over all classes.
        balance: weight classes by the inverse of their frequency among the training rows (`pos_weight` with the
            sigmoid head).
    """

    label_smoothing: float = Field(0.0, ge=0, lt=1)
    balance: bool = False

    def loss_sum(self, logits: Tensor, targets: Tensor, head: Head, class_weights: Tensor) -> Tensor:
        """Sum the losses of some images; divided by their `normalizer` it is the mean.

        Args:
            logits: (N, classes), or (N, 1) for the first class.
            targets: (N,) class indices, or (N, classes) class fractions of mixed images.
            class_weights: (classes,) inverse frequency of each class among the training rows.
        """
        if head == "sigmoid":
            first_class = (targets == 0) if targets.ndim == 1 else targets[:, 0]
            smoothed = first_class.to(logits.dtype) * (1 - self.label_smoothing) + self.label_smoothing / 2
            weight = class_weights[0] / class_weights[1] if self.balance else None
            return binary_cross_entropy_with_logits(logits.squeeze(-1), smoothed, pos_weight=weight, reduction="sum")
        weights = class_weights if self.balance else None
        return cross_entropy(logits, targets, weights, label_smoothing=self.label_smoothing, reduction="sum")

    def normalizer(self, targets: Tensor, head: Head, class_weights: Tensor) -> float:
        """Compute the divisor of `loss_sum`: the number of images, or the sum of their classes' weights."""
        if head == "softmax" and self.balance:
            fractions = one_hot(targets, len(class_weights)) if targets.ndim == 1 else targets
            return float((fractions.to(class_weights) @ class_weights).sum())
        return float(len(targets))
