"""Alterations of test images that leave the diagnosis as it is: by them the model's figures should not move."""

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from brain_tumor.params import Block

Gray = NDArray[np.uint8]
Kind = Literal["rotation", "left-right", "up-down", "gamma", "noise", "blur", "jpeg", "resolution", "crop"]


class Alteration(Block):
    """A kind of alteration and how strong it is.

    rotation: degrees. gamma: exponent on gray values 0 to 1. noise: standard deviation on these. blur: standard
    deviation in pixels. jpeg: quality, 1 to 100. resolution: share of the side that is kept before it is scaled up
    again. crop: share cut from each side. left-right, up-down: none.
    """

    kind: Kind
    strength: float = 0.0

    @model_validator(mode="after")
    def _possible(self) -> "Alteration":
        low, high = RANGES[self.kind]
        if not low <= self.strength <= high:
            raise ValueError(f"the strength of {self.kind} goes from {low:g} to {high:g}")
        return self

    def __str__(self) -> str:
        """As tables and plots show it."""
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
USUAL = (
    Alteration(kind="rotation", strength=15.0),
    Alteration(kind="left-right"),
    Alteration(kind="up-down"),
    Alteration(kind="gamma", strength=0.7),
    Alteration(kind="gamma", strength=1.4),
    Alteration(kind="noise", strength=0.05),
    Alteration(kind="noise", strength=0.1),
    Alteration(kind="blur", strength=1.0),
    Alteration(kind="blur", strength=2.0),
    Alteration(kind="jpeg", strength=25.0),
    Alteration(kind="resolution", strength=0.5),
    Alteration(kind="resolution", strength=0.33),
    Alteration(kind="crop", strength=0.08),
)


def alter(images: Gray, alteration: Alteration, seed: int) -> Gray:
    """(N, H, W) uint8 → the same shape; noise is drawn from the seed."""
    function, strength = _FUNCTIONS[alteration.kind], alteration.strength
    random = np.random.default_rng(seed)
    return np.stack([function(image, strength, random) for image in images])


def _rotated(image: Gray, degrees: float, _: np.random.Generator) -> Gray:
    height, width = image.shape
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    return np.asarray(cv2.warpAffine(image, turn, (width, height), flags=cv2.INTER_LINEAR), np.uint8)


def _gamma(image: Gray, exponent: float, _: np.random.Generator) -> Gray:
    table = np.rint((np.arange(256) / 255) ** exponent * 255).astype(np.uint8)
    return table[image]


def _noisy(image: Gray, sd: float, random: np.random.Generator) -> Gray:
    values = image + random.normal(0, sd * 255, image.shape)
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _blurred(image: Gray, sd: float, _: np.random.Generator) -> Gray:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sd), np.uint8)


def _compressed(image: Gray, quality: float, _: np.random.Generator) -> Gray:
    content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE), np.uint8)


def _coarse(image: Gray, share: float, _: np.random.Generator) -> Gray:
    height, width = image.shape
    size = max(1, round(width * share)), max(1, round(height * share))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _cropped(image: Gray, share: float, _: np.random.Generator) -> Gray:
    height, width = image.shape
    rows, columns = round(height * share), round(width * share)
    inner = image[rows : height - rows, columns : width - columns]
    return np.asarray(cv2.resize(inner, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


_FUNCTIONS: dict[Kind, Callable[[Gray, float, np.random.Generator], Gray]] = {
    "rotation": _rotated,
    "left-right": lambda image, *_: image[:, ::-1],
    "up-down": lambda image, *_: image[::-1],
    "gamma": _gamma,
    "noise": _noisy,
    "blur": _blurred,
    "jpeg": _compressed,
    "resolution": _coarse,
    "crop": _cropped,
}
