"""Slices of a patient: the plane, its position, and the artifacts of the scanner."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage as ndi

from brain_tumor.core.types import Floats, Gray
from brain_tumor.sources.phantom.patient import Patient, make_generator
from brain_tumor.sources.phantom.volumes import smoothstep

IMAGE_PIXELS = 256
PLANES = ("sagittal", "coronal", "axial")
"""Named by the axis that they are perpendicular to: x, y, z."""

MIN_TUMOR_PIXELS = 100
"""For a slice with less tumor, another position in the tumor is tried; 99 % of the real masks are larger (0.15 %)."""

MIDDLE = np.array([0.0, -16.0, -4.0])
"""Middle of the field of view in mm."""


@dataclass(frozen=True)
class PhantomSlice:
    """One image of the data set.

    Attributes:
        patient: "p0001" and so on.
        label: the class.
        index: number of the slice within the patient, from 0.
        plane: axial, coronal, or sagittal.
        position: of the slice along the axis that is perpendicular to it, in mm in the template.
        image: (256, 256) uint8.
        mask: (256, 256) uint8; 255 in the tumor, edema not included, and 0 elsewhere.
    """

    patient: str
    label: str
    index: int
    plane: str
    position: float
    image: Gray
    mask: Gray


def scan_slice(patient: Patient, number: int, label: str, index: int, seed: int) -> PhantomSlice:
    """Scan a slice; its plane, its position and the artifacts of the scanner are sampled independently of the class."""
    axis = int(make_generator(seed, number, 2).permutation(3)[index % 3])
    position = make_generator(seed, number, 3, index)
    for attempt in range(12):
        point = patient.targets[:, position.integers(patient.targets.shape[1])]
        center = patient.targets.mean(1)
        place = center + 0.8**attempt * (point - center)
        goal = patient.locate(place)
        image, mask = _scan(patient, axis, float(goal[axis]), make_generator(seed, number, 4, index))
        if patient.lesion is None or np.count_nonzero(mask) >= MIN_TUMOR_PIXELS:
            break
    return PhantomSlice(f"p{number:04d}", label, index, PLANES[axis], float(place[axis]), image, mask)


def _scan(patient: Patient, axis: int, position: float, rng: np.random.Generator) -> tuple[Gray, Gray]:
    """Return image and mask of the slice perpendicular to the axis, `position` mm along it."""
    points = _pixel_positions(axis, position, rng)
    offset = np.zeros((3, 1, 1))
    offset[axis] = rng.uniform(1, 5) / 3
    # The scanner averages over the thickness of the slice, which is approximated by two planes.
    renderings = [patient.render(points + side * offset) for side in (-1, 1)]
    image, tumor = (sum(parts) / 2 for parts in zip(*renderings, strict=True))
    # The coil receives little from below the neck.
    image = image * smoothstep(points[2], *(rng.uniform(-128, -112) + np.array([0.0, 50.0])))
    return _simulate_acquisition(image, rng), np.where(tumor > 0.5, np.uint8(255), np.uint8(0))


def _pixel_positions(axis: int, position: float, rng: np.random.Generator) -> Floats:
    """Return the positions (3, 256, 256) of the pixels in mm: head or front up, slightly rotated and shifted."""
    right, up = [other for other in range(3) if other != axis]
    pixel, angle = rng.uniform(0.84, 1.0), np.deg2rad(rng.normal(0, 4))
    steps = (np.arange(IMAGE_PIXELS) - (IMAGE_PIXELS - 1) / 2) * pixel
    across, down = steps[None, :] + rng.normal(0, 4), steps[:, None] + rng.normal(0, 4)
    across, down = across * np.cos(angle) - down * np.sin(angle), across * np.sin(angle) + down * np.cos(angle)
    faces_left = rng.random() < 0.7 and axis == 0
    points = np.empty((3, IMAGE_PIXELS, IMAGE_PIXELS))
    points[axis] = position
    points[right] = MIDDLE[right] + (-across if faces_left else across)
    points[up] = MIDDLE[up] - down
    return points


def _simulate_acquisition(image: Floats, rng: np.random.Generator) -> Gray:
    """Apply the effects of a scanner to the true brightness (256, 256): blur, bias field, ghost, noise, window."""
    image = ndi.gaussian_filter(image, rng.uniform(0.35, 0.9))
    across = np.linspace(-1, 1, IMAGE_PIXELS)
    x, y = across[None, :], across[:, None]
    bias = rng.normal(0, 0.1, 5)
    image = image * np.exp(
        bias[0] * x + bias[1] * y + bias[2] * x * y + bias[3] * (x**2 - 0.33) + bias[4] * (y**2 - 0.33)
    )
    strength, shift = rng.uniform(0.02, 0.06), int(rng.integers(40, 120))
    if rng.random() < 0.12:
        image = image + strength * np.roll(image, shift, int(rng.integers(2)))
    # The image is the magnitude of a complex signal, so its noise is Rician.
    real, imaginary = rng.uniform(0.008, 0.032) * rng.standard_normal((2, IMAGE_PIXELS, IMAGE_PIXELS))
    image = np.hypot(image + real, imaginary)
    image = np.clip(image / rng.uniform(0.88, 1.2), 0, 1) ** rng.uniform(0.85, 1.2)
    return np.rint(image * 255).astype(np.uint8)
