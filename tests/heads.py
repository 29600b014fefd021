"""Small synthetic slices: a bright head with random inner structure on a dark background."""

import io

import cv2
import numpy as np
from PIL import Image

from brain_tumor.core.types import Gray


def head(seed: int, side: int = 96) -> Gray:
    """Make a head that depends on the seed, (side, side + 8) pixels, with a dark background."""
    random = np.random.default_rng(seed)
    height, width = side, side + 8
    y, x = np.mgrid[:height, :width]
    center, axes = random.uniform(0.47, 0.53, 2), random.uniform(0.34, 0.42, 2)
    radius = np.hypot((y / height - center[0]) / axes[0], (x / width - center[1]) / axes[1])
    texture = cv2.GaussianBlur(random.normal(size=(height, width)), (0, 0), side / 24)
    values = 110 + 45 * texture / texture.std()
    values = np.where(radius > 0.88, 220, values) * (radius < 1) + random.uniform(0, 6, (height, width))
    result: Gray = values.clip(0, 255).astype(np.uint8)
    return result


def small(seeds: range, side: int = 32) -> Gray:
    """Make (N, side, side) heads, resized to squares."""
    return np.stack([np.asarray(cv2.resize(head(n), (side, side), interpolation=cv2.INTER_AREA)) for n in seeds])


def png(image: Gray, level: int = 6, mode: str = "L") -> bytes:
    """Encode as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).convert(mode).save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


def shape_png(label: str, number: int) -> bytes:
    """Make a PNG file of a bright disk or a bright cross in a head: two classes that a small network can separate."""
    random = np.random.default_rng([number, len(label)])
    pixels = (head(100 * len(label) + number, 48) * 0.7).astype(np.uint8)
    y, x = np.mgrid[:48, :56]
    row, column = random.integers(19, 30, 2)
    inside = (y - row) ** 2 + (x - column) ** 2 < 36
    if label == "cross":
        inside &= (np.abs(y - row) < 2) | (np.abs(x - column) < 2)
    pixels[inside] = 255
    return png(pixels)


def shapes(count: int = 40) -> dict[str, bytes]:
    """Make `count` PNG files per class, by path: crosses/… and disks/…"""
    return {f"{label}s/{n:02d}.png": shape_png(label, n) for label in ("cross", "disk") for n in range(count)}
