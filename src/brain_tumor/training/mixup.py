"""Mixup and CutMix of training batches."""

import math
from typing import NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from brain_tumor.core.params import Block
from brain_tumor.core.types import Box


class SampledMix(NamedTuple):
    """Random choices for mixing the images of one batch.

    Attributes:
        partners: (N,) position in the batch of the image that each image is mixed with.
        weight: weight of each image in its label, 0 to 1; its partner has the rest.
        box: pixels that are taken from the partner (CutMix); None: all pixels are blended by `weight` (mixup).
    """

    partners: Tensor
    weight: float
    box: Box | None


class Mixup(Block):
    """Mix each image and its label with another of the batch.

    `mixup` and `cutmix` are the parameters of the beta distributions of Zhang et al. 2018 and Yun et al. 2019
    (0: disabled); if both are set, one of the two is chosen per batch.
    """

    mixup: float = Field(0.0, ge=0)
    cutmix: float = Field(0.0, ge=0)

    @property
    def enabled(self) -> bool:
        """Return whether images are mixed."""
        return self.mixup > 0 or self.cutmix > 0

    def sample(self, shape: torch.Size, generator: Generator) -> SampledMix | None:
        """Sample how a batch of `shape` (N, 1, H, W) is mixed, as torchvision's MixUp and CutMix do; None: not at all.

        It is sampled for the whole batch, also where several processes share it or it is split into micro-batches.
        """
        count, height, width = shape[0], *shape[-2:]
        if not self.enabled or count < 2:
            return None
        # torch's beta distribution takes no generator.
        random = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        transforms = [transform for transform in ("mixup", "cutmix") if getattr(self, transform)]
        transform = transforms[random.integers(len(transforms))]
        partners = torch.arange(count).roll(1)  # random ones, since the batch is in random order
        alpha = getattr(self, transform)
        weight = float(random.beta(alpha, alpha))
        if transform == "mixup":
            return SampledMix(partners, weight, None)
        x, y = int(random.integers(width)), int(random.integers(height))
        half_width, half_height = (int(0.5 * math.sqrt(1 - weight) * side) for side in (width, height))
        left, top = max(0, x - half_width), max(0, y - half_height)
        right, bottom = min(width, x + half_width), min(height, y + half_height)
        weight = 1 - (right - left) * (bottom - top) / (width * height)
        return SampledMix(partners, weight, (left, top, right, bottom))


def mix_images(x: Tensor, partners: Tensor, mix: SampledMix) -> Tensor:
    """Mix (M, 1, H, W) images with their partners of the same shape."""
    if mix.box is None:
        return x * mix.weight + partners * (1 - mix.weight)
    left, top, right, bottom = mix.box
    mixed = x.clone()
    mixed[..., top:bottom, left:right] = partners[..., top:bottom, left:right]
    return mixed


def mix_targets(targets: Tensor, partners: Tensor, mix: SampledMix, num_classes: int) -> Tensor:
    """Mix (M,) class indices with those of the partners into (M, classes) class fractions."""
    return one_hot(targets, num_classes) * mix.weight + one_hot(partners, num_classes) * (1 - mix.weight)
