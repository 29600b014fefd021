"""Optimizer, learning-rate schedule and loss of a recipe."""

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot
from torchvision.transforms import v2

from brain_tumor.calibration import Head
from brain_tumor.params import Block


class Schedule(Block):
    """Learning rate over the run: linear warm-up for `warmup` epochs, then `kind`.

    `step` multiplies by `factor` every `every` epochs; `plateau` does so whenever the validation loss has not
    reached a new low for `every` epochs; `linear` and `cosine` end at zero.
    """

    kind: Literal["constant", "linear", "cosine", "step", "plateau"]
    warmup: float = Field(0.0, ge=0)
    every: int = Field(10, ge=1)
    factor: float = Field(0.1, gt=0, le=1)

    def scale(self, epoch: float, epochs: int, losses: Sequence[float] = ()) -> float:
        """Factor on the learning rate at a point of the run, in epochs (fractions between steps).

        `losses` are those of validation so far: a resumed run comes to the same factor.
        """
        if epoch < self.warmup:
            return epoch / self.warmup
        done = (epoch - self.warmup) / max(epochs - self.warmup, 1e-9)
        if self.kind == "linear":
            return 1 - done
        if self.kind == "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        if self.kind == "plateau":
            return self.factor ** self._waits(losses)
        return self.factor ** int(epoch // self.every) if self.kind == "step" else 1.0

    def _waits(self, losses: Sequence[float]) -> int:
        """How often the loss stayed above its lowest for `every` epochs in a row."""
        lowest, waited, times = math.inf, 0, 0
        for loss in losses:
            lowest, waited = (loss, 0) if loss < lowest else (lowest, waited + 1)
            if waited == self.every:
                times, waited = times + 1, 0
        return times


class OptimizerParams(Block):
    """Optimizer; weight decay spares biases and norm layers with AdamW alone, as is usual.

    `clip` is the norm to which the gradient of all parameters together is scaled down, where it is larger.
    """

    kind: Literal["adam", "adamw", "sgd"]
    lr: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    clip: float | None = Field(None, gt=0)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Make the optimizer for the parameters that require a gradient."""
        trained = [p for p in parameters if p.requires_grad]
        if self.kind == "sgd":
            decay, nesterov = self.weight_decay, self.momentum > 0
            return torch.optim.SGD(trained, self.lr, self.momentum, weight_decay=decay, nesterov=nesterov, fused=True)
        if self.kind == "adam":
            return torch.optim.Adam(trained, self.lr, weight_decay=self.weight_decay, fused=True)
        groups = [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, self.lr, fused=True)


class Mix(Block):
    """Mixing each image with its neighbor in the batch, and their labels alike.

    `mixup` and `cutmix` are the parameters of the beta distributions of Zhang et al. 2018 and Yun et al. 2019
    (0: not used); where both are set, each batch goes one of the two ways.
    """

    mixup: float = Field(0.0, ge=0)
    cutmix: float = Field(0.0, ge=0)

    @property
    def used(self) -> bool:
        """Whether anything is mixed."""
        return self.mixup > 0 or self.cutmix > 0

    def __call__(self, x: Tensor, targets: Tensor, classes: int) -> tuple[Tensor, Tensor]:
        """(N, 1, H, W) images and (N,) class numbers → images, and targets (N, classes) if anything is mixed.

        Draws come from torch's global generator.
        """
        ways: list[v2.Transform] = []
        if self.mixup:
            ways.append(v2.MixUp(alpha=self.mixup, num_classes=classes))
        if self.cutmix:
            ways.append(v2.CutMix(alpha=self.cutmix, num_classes=classes))
        if not self.used or len(x) < 2:
            return x, targets
        mixed: tuple[Tensor, Tensor] = v2.RandomChoice(ways)(x, targets)
        return mixed


class Loss(Block):
    """Cross-entropy, or with the sigmoid head binary cross-entropy.

    `balance` weights classes by the inverse of their frequency among the training rows (`pos_weight` with
    the sigmoid head).
    """

    label_smoothing: float = Field(0.0, ge=0, lt=1)
    balance: bool = False

    def total(self, logits: Tensor, targets: Tensor, head: Head, class_weights: Tensor) -> Tensor:
        """Sum of the losses of a batch; divided by `weight` of the same images it is their mean.

        Args:
            logits: (N, classes), or (N, 1) for the first class.
            targets: (N,) class numbers, or (N, classes) shares of mixed images.
            class_weights: (classes,) inverse frequency of each class among the training rows.
        """
        if head == "sigmoid":
            wanted = (targets == 0) if targets.ndim == 1 else targets[:, 0]
            wanted = wanted.to(logits.dtype) * (1 - self.label_smoothing) + self.label_smoothing / 2
            weight = class_weights[0] / class_weights[1] if self.balance else None
            return binary_cross_entropy_with_logits(logits.squeeze(-1), wanted, pos_weight=weight, reduction="sum")
        weights = class_weights if self.balance else None
        return cross_entropy(logits, targets, weights, label_smoothing=self.label_smoothing, reduction="sum")

    def weight(self, targets: Tensor, head: Head, class_weights: Tensor) -> float:
        """What the sum of the losses of images is divided by: their number, or the sum of their classes' weights."""
        if head == "softmax" and self.balance:
            hard = one_hot(targets, len(class_weights)) if targets.ndim == 1 else targets
            return float((hard.to(class_weights) @ class_weights).sum())
        return float(len(targets))
