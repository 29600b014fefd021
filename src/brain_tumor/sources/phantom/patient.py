"""One simulated patient: a deformed head, the brightness of its tissues, and at most one tumor."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.spatial.transform import Rotation

from brain_tumor.core.types import Floats
from brain_tumor.sources.phantom.anatomy import load_anatomy
from brain_tumor.sources.phantom.lesions import LESIONS, Lesion
from brain_tumor.sources.phantom.tissue import Contrast, Tissue, render_healthy
from brain_tumor.sources.phantom.volumes import Volume, blend, broadcast_vector, sample_noise

STRIDE_PIXELS = 4
"""Deformations are smooth: they are computed at every fourth pixel and interpolated."""


def make_generator(seed: int, *key: int) -> np.random.Generator:
    """Make an independent random generator for each patient and purpose: the order of the work does not matter."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


@dataclass(frozen=True)
class Patient:
    """The properties that all slices of a patient have in common.

    Attributes:
        transform: (3, 3) rotation and scaling from the patient to the template.
        bends: shift in mm along x, y, and z, over the whole head.
        folds: further shift of the brain alone, so that no two patients have the same gyri.
        contrast: brightness of the tissues.
        texture: grain of all tissues, unit deviation.
        lesion: the tumor; None for a healthy patient.
        targets: (3, n) points in the template through which slices are taken: those of the tumor, and for a healthy
            patient those of a hypothetical tumor, so that the position of a slice carries no information on the class.
    """

    transform: Floats
    bends: tuple[Volume, ...]
    folds: tuple[Volume, ...]
    contrast: Contrast
    texture: Volume
    lesion: Lesion | None
    targets: Floats

    @classmethod
    def sample(cls, number: int, label: str, seed: int) -> Self:
        """Sample the patient; the head depends on number and seed only, the tumor also on the label."""
        rng = make_generator(seed, number, 0)
        angles = rng.uniform(-1, 1, 3) * np.array([7, 3, 5])
        transform = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() / rng.uniform(0.92, 1.08, 3)
        bends = tuple(sample_noise(rng, size=28, correlation=3.6, spacing=10, deviation=2.6) for _ in range(3))
        folds = tuple(sample_noise(rng, size=40, correlation=1.6, spacing=5.5, deviation=1.7) for _ in range(3))
        grain = load_anatomy().texture
        texture = Volume(grain.data, rng.uniform(0, 96, 3), grain.spacing, grain.beyond)
        contrast = Contrast.sample(rng)
        rng = make_generator(seed, number, 1)
        # Half of the healthy patients are sliced at the sella; otherwise all slices there would show pituitary tumors.
        kind = label if label in LESIONS else str(rng.choice(list(LESIONS), p=[0.25, 0.25, 0.5]))
        lesion = LESIONS[kind].sample(rng)
        targets = _find_points_inside(lesion, texture)
        return cls(transform, bends, folds, contrast, texture, lesion if label in LESIONS else None, targets)

    def render(self, points: Floats) -> tuple[Floats, Floats]:
        """Render image and tumor at the points of a slice.

        Args:
            points: (3, H, W) in mm in the patient's space; H and W are multiples of STRIDE_PIXELS.

        Returns:
            (H, W) brightness, 0 to about 1.2, and (H, W) fraction of tumor, 0 to 1.
        """
        _, height, width = points.shape
        blocks = points.reshape(3, height // STRIDE_PIXELS, STRIDE_PIXELS, width // STRIDE_PIXELS, STRIDE_PIXELS).mean(
            (2, 4)
        )
        bends, folds = _interpolate_shifts(self.bends, blocks), _interpolate_shifts(self.folds, blocks)
        inside = _upsample(load_anatomy().skin.interpolate(_apply_transform(self.transform, blocks) + bends)) < 2
        positions = (_apply_transform(self.transform, points) + _upsample(bends))[:, inside]
        undisplaced = self.lesion.undo_displacement(positions) if self.lesion else positions
        tissue = Tissue.interpolate(positions, undisplaced + _upsample(folds)[:, inside], self.texture)
        brightness = render_healthy(tissue, self.contrast, self.texture)
        image, tumor = np.zeros((height, width)), np.zeros((height, width))
        if self.lesion:
            brightness, tumor[inside] = self.lesion.paint(brightness, tissue, self.contrast)
        image[inside] = brightness
        return image, tumor

    def locate(self, point: Floats) -> Floats:
        """Return the position (3,) in the patient of a point (3,) of the template, both in mm."""
        position = point[:, None]
        for _ in range(12):
            mapped = _apply_transform(self.transform, position) + _interpolate_shifts(self.bends, position)
            position = position - (mapped - point[:, None])
        return position[:, 0]


def _apply_transform(transform: Floats, points: Floats) -> Floats:
    """Apply a (3, 3) matrix to points (3, ...), without a BLAS library, whose rounding depends on the CPU."""
    return np.asarray(np.einsum("ij,j...->i...", transform, points))


def _interpolate_shifts(fields: tuple[Volume, ...], points: Floats) -> Floats:
    """Interpolate the shifts of points along x, y, and z, all in mm: (3, ...) -> (3, ...)."""
    return np.stack([field.interpolate(points) for field in fields])


def _upsample(blocks: Floats) -> Floats:
    """Interpolate values at the centers of blocks of pixels to the pixels: (..., h, w) -> (..., 4h, 4w)."""
    for axis in (-2, -1):
        size = blocks.shape[axis]
        position = (np.arange(size * STRIDE_PIXELS) + 0.5) / STRIDE_PIXELS - 0.5
        low = np.clip(position.astype(int), 0, size - 2)
        weight = (position - low)[:, None] if axis == -2 else position - low
        blocks = blend(blocks.take(low, axis), blocks.take(low + 1, axis), weight)
    return blocks


def _find_points_inside(lesion: Lesion, texture: Volume) -> Floats:
    """Return the points (3, n) of the template inside the tumor, on a grid with a sixth of its radius as spacing."""
    steps = np.linspace(-2, 2, 25) * lesion.radius
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij")).reshape(3, -1)
    points = grid + broadcast_vector(lesion.center, grid)
    tissue = Tissue.interpolate(points, lesion.undo_displacement(points), texture)
    return points[:, lesion.coverage(tissue, lesion.distance(tissue)) > 0.5]
