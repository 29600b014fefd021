"""Copies made on purpose, altered as those of the public data sets are: what the audit is measured by."""

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from brain_tumor.copies import TRANSFORMS, turn
from brain_tumor.encoding import encode

Gray = NDArray[np.uint8]
Alteration = Callable[[Gray, np.random.Generator], Gray]


def plant(gray: Gray, alteration: str, transform: int, random: np.random.Generator) -> bytes:
    """Turn an (H, W) image (see `copies.turn`), alter it, and encode it as a PNG file."""
    return encode(ALTERATIONS[alteration](turn(gray, transform), random))


def turn_of(number: int) -> tuple[int, str]:
    """The turn of the copy number `number`: all eight take turns. Its number and name."""
    return number % len(TRANSFORMS), TRANSFORMS[number % len(TRANSFORMS)]


def _rescaled(gray: Gray, random: np.random.Generator) -> Gray:
    """To 40 to 80 % of the size, the aspect ratio changed by up to 10 %."""
    scale = random.uniform(0.4, 0.8)
    width, height = (max(32, round(side * scale * random.uniform(0.95, 1.05))) for side in gray.shape[::-1])
    return np.asarray(Image.fromarray(gray).resize((width, height), Image.Resampling.BICUBIC))


def _recompressed(gray: Gray, random: np.random.Generator) -> Gray:
    """JPEG of quality 30 to 60."""
    return np.asarray(Image.open(io.BytesIO(encode(gray, "JPEG", quality=int(random.integers(30, 61))))))


def _brightened(gray: Gray, random: np.random.Generator) -> Gray:
    """10 to 25 gray levels brighter or darker."""
    shift = int(random.integers(10, 26)) * int(random.choice([-1, 1]))
    return (gray.astype(np.int16) + shift).clip(0, 255).astype(np.uint8)


def _contrasted(gray: Gray, random: np.random.Generator) -> Gray:
    """Gamma 0.75 to 1.35 and gain 0.8 to 1.25."""
    values = (gray / 255) ** random.uniform(0.75, 1.35) * random.uniform(0.8, 1.25)
    return np.rint(values * 255).clip(0, 255).astype(np.uint8)


def _cropped(gray: Gray, random: np.random.Generator) -> Gray:
    """Up to 5 % cut from each side."""
    height, width = gray.shape
    top, bottom, left, right = random.uniform(0, 0.05, 4)
    return gray[int(height * top) : height - int(height * bottom), int(width * left) : width - int(width * right)]


def _bordered(gray: Gray, random: np.random.Generator) -> Gray:
    """A frame of one gray level, 1 to 4 % wide."""
    return np.pad(gray, 1 + int(max(gray.shape) * random.uniform(0.01, 0.04)), constant_values=random.integers(96, 256))


def _padded(gray: Gray, random: np.random.Generator) -> Gray:
    """Up to 20 % of black on each side."""
    top, bottom, left, right = (random.uniform(0, 0.2, 4) * max(gray.shape)).astype(int)
    return np.pad(gray, ((top, bottom), (left, right)))


def _lettered(gray: Gray, random: np.random.Generator) -> Gray:
    """Letters and figures in two corners."""
    image = Image.fromarray(gray)
    draw, size = ImageDraw.Draw(image), max(9, round(min(gray.shape) * 0.07))
    draw.text((3, 2), f"R {random.integers(100)}", fill=255, font_size=size)
    corner = (gray.shape[1] - 4 * size, gray.shape[0] - 2.2 * size)
    draw.text(corner, f"AX T1\n{random.integers(1000, 9999)}", fill=220, font_size=round(0.8 * size))
    return np.asarray(image)


def _several(gray: Gray, random: np.random.Generator) -> Gray:
    """Contrast, scale, padding, letters and JPEG, one after the other."""
    for alteration in (_contrasted, _rescaled, _padded, _lettered, _recompressed):
        gray = alteration(gray, random)
    return gray


ALTERATIONS: dict[str, Alteration] = {
    "only turned": lambda gray, _: gray,
    "rescaled": _rescaled,
    "re-encoded": _recompressed,
    "brightness": _brightened,
    "contrast": _contrasted,
    "cropped": _cropped,
    "border": _bordered,
    "padding": _padded,
    "letters": _lettered,
    "several at once": _several,
}
