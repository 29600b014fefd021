"""Whether heat maps point at the tumor, where masks say where it is; and maps that know nothing, to be beaten.

Maps are (N, H, W), 0 or more; masks (N, H, W) bool. Every figure is one number an image, NaN where the mask is empty.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Maps = NDArray[np.float32]
Masks = NDArray[np.bool_]
Values = NDArray[np.float64]
THRESHOLDS = np.linspace(0, 1, 41)[1:-1]


def figures(maps: Maps, masks: Masks) -> dict[str, Values]:
    """All figures of maps against masks."""
    known = masks.any((1, 2))
    found = {
        "pointing": pointing(maps, masks),
        "relevance_inside": relevance_inside(maps, masks),
        "area": masks.mean((1, 2)),
        "iou_best": iou(maps, masks, THRESHOLDS),
        "iou_half": iou(maps, masks, np.array([0.5])),
    }
    return {name: np.where(known, values, np.nan) for name, values in found.items()}


def pointing(maps: Maps, masks: Masks) -> Values:
    """Pointing game (Zhang et al. 2018): whether the highest value lies inside; of several, the share that does."""
    top = maps == maps.max((1, 2), keepdims=True)
    share: Values = (top & masks).sum((1, 2)) / top.sum((1, 2))
    return share


def relevance_inside(maps: Maps, masks: Masks) -> Values:
    """The share of all relevance that lies inside; that of the area for a map without any."""
    total = maps.sum((1, 2), dtype=np.float64)
    inside = (maps * masks).sum((1, 2), dtype=np.float64)
    share: Values = np.where(total > 0, inside / np.where(total > 0, total, 1.0), masks.mean((1, 2)))
    return share


def iou(maps: Maps, masks: Masks, thresholds: Values) -> Values:
    """Intersection over union at the best of some thresholds, as shares of each map's highest value."""
    top = maps.max((1, 2), keepdims=True)
    best = np.zeros(len(maps))
    for threshold in thresholds:
        chosen = (maps >= threshold * top) & (top > 0)
        union = (chosen | masks).sum((1, 2))
        best = np.maximum(best, (chosen & masks).sum((1, 2)) / np.maximum(union, 1))
    return best


def baselines(images: NDArray[np.uint8], mean_mask: Maps, seed: int) -> dict[str, Maps]:
    """Maps (N, H, W) that do not ask the model: what a method has to beat.

    Args:
        images: (N, H, W) uint8.
        mean_mask: (H, W), how often each pixel is tumor in training images.
    """
    middle = center(*images.shape[1:])
    random = np.random.default_rng(seed)
    each: dict[str, Callable[[NDArray[np.uint8]], Maps]] = {
        "center": lambda _: middle,
        "mean training mask": lambda _: mean_mask,
        "edges": _edges,
        "intensity": lambda image: image.astype(np.float32),
        "blurred random": lambda image: blurred_noise(image[None], random)[0],
    }
    return {name: np.stack([make(image) for image in images]) for name, make in each.items()}


def center(height: int, width: int) -> Maps:
    """(H, W) Gaussian in the middle, with a sixth of the side as its standard deviation."""
    y, x = np.mgrid[:height, :width]
    away = ((y - (height - 1) / 2) / height) ** 2 + ((x - (width - 1) / 2) / width) ** 2
    return np.asarray(np.exp(-away / (2 * (1 / 6) ** 2)), np.float32)


def _edges(image: NDArray[np.uint8]) -> Maps:
    values = image.astype(np.float32)
    across, down = (cv2.Sobel(values, cv2.CV_32F, *order, ksize=3) for order in ((1, 0), (0, 1)))
    return np.hypot(across, down).astype(np.float32)


def blurred_noise(images: NDArray[np.uint8], random: np.random.Generator) -> Maps:
    """As smooth as a heat map, and without any knowledge: (N, H, W)."""
    return np.stack([_smooth(random.random(image.shape, dtype=np.float32)) for image in images])


def _smooth(noise: Maps) -> Maps:
    smooth = np.asarray(cv2.GaussianBlur(noise, (0, 0), max(noise.shape) / 16), np.float32)
    return np.asarray(smooth - smooth.min(), np.float32)
