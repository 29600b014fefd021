"""Perturbations of test images that do not change the diagnosis: a robust model keeps its metrics under them."""

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np
from pydantic import model_validator

from brain_tumor.core.params import Block
from brain_tumor.core.types import Gray

Kind = Literal["rotation", "left-right", "up-down", "gamma", "noise", "blur", "jpeg", "resolution", "crop"]


class Perturbation(Block):
    """A kind of perturbation and its strength.

    Attributes:
        kind: see `strength`.
        strength: depends on the kind: of rotation, degrees; of gamma, the exponent on gray values 0 to 1; of noise, the
            standard deviation on gray values 0 to 1; of blur, the standard deviation in pixels; of jpeg, the quality, 1
            to 100; of resolution, the fraction of the side to which the image is reduced before it is enlarged again;
            of crop, the fraction cut from each side; of left-right and up-down, 0.
    """

    kind: Kind
    strength: float = 0.0

    @model_validator(mode="after")
    def _validate_range(self) -> "Perturbation":
        low, high = RANGES[self.kind]
        if not low <= self.strength <= high:
            raise ValueError(f"the strength of {self.kind} must be from {low:g} to {high:g}")
        return self

    def __str__(self) -> str:
        """Format as in tables and plots."""
        return UNITS[self.kind].format(self.strength)


RANGES: dict[Kind, tuple[float, float]] = {
    "rotation": (-180, 180),
    "left-right": (0, 0),
    "up-down": (0, 0),
    "gamma": (0.1, 10),
    "noise": (0, 1),
    "blur": (0.1, 50),
    "jpeg": (1, 100),
    "resolution": (0.02, 1),
    "crop": (0, 0.4),
}
UNITS: dict[Kind, str] = {
    "rotation": "rotation {:g}°",
    "left-right": "left-right flip",
    "up-down": "up-down flip",
    "gamma": "gamma {:g}",
    "noise": "noise {:g}",
    "blur": "blur {:g} px",
    "jpeg": "JPEG quality {:g}",
    "resolution": "resolution × {:g}",
    "crop": "border crop × {:g}",
}
UNPERTURBED = "original"  # in the column `perturbation`: the images as they are
DEFAULT_PERTURBATIONS = (
    Perturbation(kind="rotation", strength=15.0),
    Perturbation(kind="left-right"),
    Perturbation(kind="up-down"),
    Perturbation(kind="gamma", strength=0.7),
    Perturbation(kind="gamma", strength=1.4),
    Perturbation(kind="noise", strength=0.05),
    Perturbation(kind="noise", strength=0.1),
    Perturbation(kind="blur", strength=1.0),
    Perturbation(kind="blur", strength=2.0),
    Perturbation(kind="jpeg", strength=25.0),
    Perturbation(kind="resolution", strength=0.5),
    Perturbation(kind="resolution", strength=0.33),
    Perturbation(kind="crop", strength=0.08),
)


def perturb(images: Gray, perturbation: Perturbation, seed: int) -> Gray:
    """Perturb (N, H, W) images; the shape stays the same, and the seed draws the noise."""
    function, strength = _FUNCTIONS[perturbation.kind], perturbation.strength
    random = np.random.default_rng(seed)
    return np.stack([function(image, strength, random) for image in images])


def _rotate(image: Gray, degrees: float, _: np.random.Generator) -> Gray:
    height, width = image.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR), np.uint8)


def _apply_gamma(image: Gray, exponent: float, _: np.random.Generator) -> Gray:
    table = np.rint((np.arange(256) / 255) ** exponent * 255).astype(np.uint8)
    return table[image]


def _add_noise(image: Gray, sd: float, random: np.random.Generator) -> Gray:
    values = image + random.normal(0, sd * 255, image.shape)
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _blur(image: Gray, sd: float, _: np.random.Generator) -> Gray:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sd), np.uint8)


def _compress(image: Gray, quality: float, _: np.random.Generator) -> Gray:
    content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE), np.uint8)


def _downsample(image: Gray, fraction: float, _: np.random.Generator) -> Gray:
    height, width = image.shape
    size = max(1, round(width * fraction)), max(1, round(height * fraction))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _crop(image: Gray, fraction: float, _: np.random.Generator) -> Gray:
    height, width = image.shape
    rows, columns = round(height * fraction), round(width * fraction)
    inner = image[rows : height - rows, columns : width - columns]
    return np.asarray(cv2.resize(inner, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


_FUNCTIONS: dict[Kind, Callable[[Gray, float, np.random.Generator], Gray]] = {
    "rotation": _rotate,
    "left-right": lambda image, *_: image[:, ::-1],
    "up-down": lambda image, *_: image[::-1],
    "gamma": _apply_gamma,
    "noise": _add_noise,
    "blur": _blur,
    "jpeg": _compress,
    "resolution": _downsample,
    "crop": _crop,
}
