"""Training-time augmentation of whole batches on their device, drawn anew every step from one generator."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, grid_sample

from brain_tumor.params import Block


class Flip(Block):
    """Mirror left and right with probability `p`."""

    op: Literal["flip"]
    p: float = Field(0.5, ge=0, le=1)


class Affine(Block):
    """Rotate by up to ±`degrees`, scale by 1 ± `scale`, shift by up to ±`shift` of the side."""

    op: Literal["affine"]
    degrees: float = Field(0.0, ge=0, le=180)
    scale: float = Field(0.0, ge=0, lt=1)
    shift: float = Field(0.0, ge=0, lt=1)


class Intensity(Block):
    """Multiply by 1 ± `gain`, add up to ±`offset`, raise to the power 1 ± `gamma`; on values 0 to 1."""

    op: Literal["intensity"]
    gain: float = Field(0.0, ge=0, lt=1)
    offset: float = Field(0.0, ge=0, lt=1)
    gamma: float = Field(0.0, ge=0, lt=1)


class Noise(Block):
    """Add Gaussian noise; each image has its own deviation of up to `sd`."""

    op: Literal["noise"]
    sd: float = Field(ge=0, lt=1)


Augmentation = Annotated[Flip | Affine | Intensity | Noise, Field(discriminator="op")]


def augment(x: Tensor, operations: Sequence[Augmentation], generator: Generator) -> Tensor:
    """Augment a batch.

    Args:
        x: (N, 1, H, W) float, 0 to 1, on any device.
        operations: applied in order.
        generator: on the CPU, so that every device sees the same draws.

    Returns:
        A tensor like `x`, again within 0 to 1.
    """

    def uniform(span: float) -> Tensor:
        """(N,) values within ±span."""
        return ((torch.rand(len(x), generator=generator) * 2 - 1) * span).to(x.device)

    for op in operations:
        if isinstance(op, Flip):
            chosen = (torch.rand(len(x), generator=generator) < op.p).to(x.device)
            x = torch.where(chosen.view(-1, 1, 1, 1), x.flip(-1), x)
        elif isinstance(op, Affine):
            angle, zoom = uniform(math.radians(op.degrees)), 1 + uniform(op.scale)
            # affine_grid maps output places to input places in units of half the side.
            cos, sin = angle.cos() * zoom, angle.sin() * zoom
            rows = [torch.stack([cos, -sin, uniform(2 * op.shift)], -1)]
            rows.append(torch.stack([sin, cos, uniform(2 * op.shift)], -1))
            grid = affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
            x = grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        elif isinstance(op, Intensity):
            gain, offset, power = (v.view(-1, 1, 1, 1) for v in map(uniform, (op.gain, op.offset, op.gamma)))
            x = (x * (1 + gain) + offset).clamp(0, 1) ** (1 + power)
        else:
            sd = (torch.rand(len(x), generator=generator) * op.sd).view(-1, 1, 1, 1)
            x = (x + (torch.randn(x.shape, generator=generator) * sd).to(x.device)).clamp(0, 1)
    return x
