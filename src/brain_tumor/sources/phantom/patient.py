"""One simulated patient: a deformed head, the brightness of its tissues, and a tumor or none."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.spatial.transform import Rotation

from brain_tumor.sources.phantom.anatomy import anatomy
from brain_tumor.sources.phantom.lesions import LESIONS, Lesion
from brain_tumor.sources.phantom.tissue import Contrast, Tissue, healthy
from brain_tumor.sources.phantom.volumes import Floats, Volume, blend, column, noise

STRIDE = 4
"""Deformations are smooth: they are computed at every fourth pixel and interpolated."""


def stream(seed: int, *key: int) -> np.random.Generator:
    """Random numbers of their own for each patient and purpose, so that the order of the work does not matter."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


@dataclass(frozen=True)
class Patient:
    """Everything that is the same on all slices of a patient.

    Attributes:
        turn: (3, 3) rotation and scaling from the patient to the template.
        bends: shift in mm along x, y, and z, over the whole head.
        folds: further shift of the brain alone, so that no two patients have the same gyri.
        contrast: brightness of the tissues.
        texture: grain of all tissues, unit deviation.
        lesion: the tumor; None for a healthy patient.
        targets: (3, n) points in the template that slices go through: the tumor's, and for a healthy patient
            those of a tumor that could have been, so that the position of a slice does not give the class away.
    """

    turn: Floats
    bends: tuple[Volume, ...]
    folds: tuple[Volume, ...]
    contrast: Contrast
    texture: Volume
    lesion: Lesion | None
    targets: Floats

    @classmethod
    def draw(cls, number: int, label: str, seed: int) -> Self:
        """Draw the patient; the head depends on the number alone, the tumor on the label, too."""
        rng = stream(seed, number, 0)
        angles = rng.uniform(-1, 1, 3) * np.array([7, 3, 5])
        turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() / rng.uniform(0.92, 1.08, 3)
        bends = tuple(noise(rng, size=28, correlation=3.6, spacing=10, deviation=2.6) for _ in range(3))
        folds = tuple(noise(rng, size=40, correlation=1.6, spacing=5.5, deviation=1.7) for _ in range(3))
        grain = anatomy().texture
        texture = Volume(grain.data, rng.uniform(0, 96, 3), grain.spacing, grain.beyond)
        contrast = Contrast.draw(rng)
        rng = stream(seed, number, 1)
        # Half of the healthy are sliced at the sella: all slices there would be pituitary tumors otherwise.
        kind = label if label in LESIONS else str(rng.choice(list(LESIONS), p=[0.25, 0.25, 0.5]))
        lesion = LESIONS[kind].draw(rng)
        targets = _points_inside(lesion, texture)
        return cls(turn, bends, folds, contrast, texture, lesion if label in LESIONS else None, targets)

    def render(self, points: Floats) -> tuple[Floats, Floats]:
        """Image and tumor at the points of a slice.

        Args:
            points: (3, H, W) in mm in the patient's space; H and W are multiples of STRIDE.

        Returns:
            (H, W) brightness, 0 to about 1.2, and (H, W) share of tumor, 0 to 1.
        """
        _, height, width = points.shape
        blocks = points.reshape(3, height // STRIDE, STRIDE, width // STRIDE, STRIDE).mean((2, 4))
        bends, folds = _shifts(self.bends, blocks), _shifts(self.folds, blocks)
        head = _enlarged(anatomy().skin.at(_turned(self.turn, blocks) + bends)) < 2
        at = (_turned(self.turn, points) + _enlarged(bends))[:, head]
        before = self.lesion.displaced(at) if self.lesion else at
        tissue = Tissue.at(at, before + _enlarged(folds)[:, head], self.texture)
        bright = healthy(tissue, self.contrast, self.texture)
        image, tumor = np.zeros((height, width)), np.zeros((height, width))
        if self.lesion:
            bright, tumor[head] = self.lesion.paint(bright, tissue, self.contrast)
        image[head] = bright
        return image, tumor

    def locate(self, point: Floats) -> Floats:
        """Position (3,) in the patient of a point (3,) of the template, in mm."""
        guess = point[:, None]
        for _ in range(12):
            guess = guess - (_turned(self.turn, guess) + _shifts(self.bends, guess) - point[:, None])
        return guess[:, 0]


def _turned(turn: Floats, points: Floats) -> Floats:
    """Apply a (3, 3) matrix to points (3, ...); without a matrix library, whose rounding depends on the CPU."""
    return np.asarray(np.einsum("ij,j...->i...", turn, points))


def _shifts(fields: tuple[Volume, ...], points: Floats) -> Floats:
    """Shifts in mm of the points (3, ...) along x, y, and z: (3, ...)."""
    return np.stack([field.at(points) for field in fields])


def _enlarged(blocks: Floats) -> Floats:
    """Interpolate values at the centers of blocks of pixels to the pixels: (..., h, w) -> (..., 4 h, 4 w)."""
    for axis in (-2, -1):
        size = blocks.shape[axis]
        position = (np.arange(size * STRIDE) + 0.5) / STRIDE - 0.5
        low = np.clip(position.astype(int), 0, size - 2)
        share = (position - low)[:, None] if axis == -2 else position - low
        blocks = blend(blocks.take(low, axis), blocks.take(low + 1, axis), share)
    return blocks


def _points_inside(lesion: Lesion, texture: Volume) -> Floats:
    """Points (3, n) of the template that lie in the tumor, on a grid a sixth of its radius apart."""
    steps = np.linspace(-2, 2, 25) * lesion.radius
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij")).reshape(3, -1)
    points = grid + column(lesion.center, grid)
    tissue = Tissue.at(points, lesion.displaced(points), texture)
    return points[:, lesion.share(tissue, lesion.distance(tissue)) > 0.5]
