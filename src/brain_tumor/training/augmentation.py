"""Training-time augmentation of whole batches on their device, sampled in every step from one generator."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, grid_sample

from brain_tumor.core.params import Block

# Parameters of one operation for each image of a batch: tensors of (N, …).
Sampled = tuple[Tensor, ...]


class Flip(Block):
    """Mirror left and right with probability `p`."""

    op: Literal["flip"]
    p: float = Field(0.5, ge=0, le=1)

    def sample(self, shape: torch.Size, generator: Generator) -> Sampled:
        """Sample which images are mirrored: (N,) bool."""
        return (torch.rand(shape[0], generator=generator) < self.p,)

    def apply(self, x: Tensor, mirrored: Tensor) -> Tensor:
        """Mirror these images."""
        return torch.where(_per_image(mirrored), x.flip(-1), x)


class Affine(Block):
    """Rotate by up to ±`degrees`, scale by 1 ± `scale`, shift by up to ±`shift` of the side."""

    op: Literal["affine"]
    degrees: float = Field(0.0, ge=0, le=180)
    scale: float = Field(0.0, ge=0, lt=1)
    shift: float = Field(0.0, ge=0, lt=1)

    def sample(self, shape: torch.Size, generator: Generator) -> Sampled:
        """Sample matrices (N, 2, 3) that map output to input positions, in units of half the side."""
        spans = (math.radians(self.degrees), self.scale, 2 * self.shift, 2 * self.shift)
        angle, zoom, right, down = (_uniform(shape[0], span, generator) for span in spans)
        cos, sin = angle.cos() * (1 + zoom), angle.sin() * (1 + zoom)
        rows = [torch.stack([cos, -sin, right], -1), torch.stack([sin, cos, down], -1)]
        return (torch.stack(rows, 1),)

    def apply(self, x: Tensor, matrices: Tensor) -> Tensor:
        """Transform the images; positions outside the input are black."""
        grid = affine_grid(matrices, list(x.shape), align_corners=False)
        return grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


class Intensity(Block):
    """Multiply by 1 ± `gain`, add up to ±`offset`, raise to the power 1 ± `gamma`; on values 0 to 1."""

    op: Literal["intensity"]
    gain: float = Field(0.0, ge=0, lt=1)
    offset: float = Field(0.0, ge=0, lt=1)
    gamma: float = Field(0.0, ge=0, lt=1)

    def sample(self, shape: torch.Size, generator: Generator) -> Sampled:
        """Sample gain - 1, offset and power - 1 of each image."""
        return tuple(_uniform(shape[0], span, generator) for span in (self.gain, self.offset, self.gamma))

    def apply(self, x: Tensor, gain: Tensor, offset: Tensor, power: Tensor) -> Tensor:
        """Change the gray levels."""
        changed: Tensor = (x * (1 + _per_image(gain)) + _per_image(offset)).clamp(0, 1) ** (1 + _per_image(power))
        return changed


class Noise(Block):
    """Add Gaussian noise; the standard deviation of each image is uniform between 0 and `sd`."""

    op: Literal["noise"]
    sd: float = Field(ge=0, lt=1)

    def sample(self, shape: torch.Size, generator: Generator) -> Sampled:
        """Sample the noise itself, (N, 1, H, W)."""
        sd = torch.rand(shape[0], generator=generator) * self.sd
        return (torch.randn(shape, generator=generator) * _per_image(sd),)

    def apply(self, x: Tensor, noise: Tensor) -> Tensor:
        """Add the noise."""
        return (x + noise).clamp(0, 1)


class Erase(Block):
    """Black out a square of up to `side` of the image's side, at a random position, with probability `p`.

    Source: random erasing, Zhong et al. 2020, and cutout, DeVries and Taylor 2017.
    """

    op: Literal["erase"]
    p: float = Field(0.5, ge=0, le=1)
    side: float = Field(0.3, gt=0, lt=1)

    def sample(self, shape: torch.Size, generator: Generator) -> Sampled:
        """Sample center (row, column) and half side of each square, as fractions of the side; -1 for none."""
        row, column, size, chance = torch.rand(4, shape[0], generator=generator)
        return row, column, torch.where(chance < self.p, size * self.side / 2, torch.tensor(-1.0))

    def apply(self, x: Tensor, row: Tensor, column: Tensor, half: Tensor) -> Tensor:
        """Black out the squares."""
        down, right = (torch.linspace(0, 1, size, device=x.device) for size in x.shape[-2:])
        rows = (down - row[:, None]).abs() <= half[:, None]
        columns = (right - column[:, None]).abs() <= half[:, None]
        return x.masked_fill((rows[:, :, None] & columns[:, None, :]).unsqueeze(1), 0.0)


Augmentation = Annotated[Flip | Affine | Intensity | Noise | Erase, Field(discriminator="op")]


def sample_augmentations(operations: Sequence[Augmentation], shape: torch.Size, generator: Generator) -> list[Sampled]:
    """Sample the parameters of each operation for each image of a batch of `shape` (N, 1, H, W).

    The generator is on the CPU, so that the parameters are the same on every device. They are sampled for the whole
    batch, also where several processes share it.
    """
    return [op.sample(shape, generator) for op in operations]


def apply_augmentations(
    x: Tensor, operations: Sequence[Augmentation], sampled: Sequence[Sampled], indices: Tensor
) -> Tensor:
    """Augment a part of a batch.

    Args:
        x: (M, 1, H, W) float, 0 to 1, on any device.
        operations: applied in order.
        sampled: parameters of each operation for the whole batch.
        indices: (M,) positions of these images in the batch.

    Returns:
        A tensor like `x`, again within 0 to 1.
    """
    for op, values in zip(operations, sampled, strict=True):
        x = op.apply(x, *(value[indices].to(x.device) for value in values))
    return x


def _uniform(count: int, span: float, generator: Generator) -> Tensor:
    """Sample (N,) values within ±span."""
    return (torch.rand(count, generator=generator) * 2 - 1) * span


def _per_image(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
