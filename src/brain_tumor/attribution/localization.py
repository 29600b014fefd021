"""Localization of the tumor by heat maps, measured against masks, and model-independent baseline maps.

Maps are (N, H, W), 0 or more; masks (N, H, W) bool. Each metric is one value per image.
"""

from collections.abc import Callable

import cv2
import numpy as np

from brain_tumor.attribution.constants import BLURRED_NOISE, CENTER, MEAN_MASK, RANDOM_ORDER
from brain_tumor.core.types import Floats, Gray, Maps, Masks

IOU_THRESHOLDS = np.linspace(0, 1, 41)[1:-1]


def localization_metrics(maps: Maps, masks: Masks) -> dict[str, Floats]:
    """Compute all localization metrics by name, (N,) each; NaN where the mask is empty."""
    has_mask = masks.any((1, 2))
    metrics = {
        "pointing": pointing_game(maps, masks),
        "relevance_inside": relevance_inside(maps, masks),
        "area": masks.mean((1, 2)),
        "iou_best": iou(maps, masks, IOU_THRESHOLDS),
        "iou_half": iou(maps, masks, np.array([0.5])),
    }
    return {name: np.where(has_mask, values, np.nan) for name, values in metrics.items()}


def pointing_game(maps: Maps, masks: Masks) -> Floats:
    """Pointing game (Zhang et al. 2018): 1 if the maximum lies inside the mask; for tied maxima the fraction inside."""
    is_maximum = maps == maps.max((1, 2), keepdims=True)
    hits: Floats = (is_maximum & masks).sum((1, 2)) / is_maximum.sum((1, 2))
    return hits


def relevance_inside(maps: Maps, masks: Masks) -> Floats:
    """Fraction of the total relevance inside the mask; for an empty map the fraction of the area."""
    total = maps.sum((1, 2), dtype=np.float64)
    inside = (maps * masks).sum((1, 2), dtype=np.float64)
    fraction: Floats = np.where(total > 0, inside / np.where(total > 0, total, 1.0), masks.mean((1, 2)))
    return fraction


def iou(maps: Maps, masks: Masks, thresholds: Floats) -> Floats:
    """Intersection over union at the best threshold.

    Args:
        thresholds: fractions of each map's maximum.
    """
    maximum = maps.max((1, 2), keepdims=True)
    best = np.zeros(len(maps))
    for threshold in thresholds:
        segmented = (maps >= threshold * maximum) & (maximum > 0)
        union = (segmented | masks).sum((1, 2))
        best = np.maximum(best, (segmented & masks).sum((1, 2)) / np.maximum(union, 1))
    return best


def localization_baselines(images: Gray, mean_mask: Maps, seed: int) -> dict[str, Maps]:
    """Make maps (N, H, W) that do not depend on the model, as baselines of the localization metrics.

    Args:
        images: (N, H, W).
        mean_mask: (H, W), how often each pixel is tumor in training images.
    """
    center = center_map(*images.shape[1:])
    random = np.random.default_rng(seed)
    makers: dict[str, Callable[[Gray], Maps]] = {
        CENTER: lambda _: center,
        MEAN_MASK: lambda _: mean_mask,
        "edges": _edge_map,
        "intensity": lambda image: image.astype(np.float32),
        BLURRED_NOISE: lambda image: blurred_noise_maps(image[None], random)[0],
    }
    return {name: np.stack([make(image) for image in images]) for name, make in makers.items()}


def faithfulness_baselines(images: Gray, seed: int) -> dict[str, Maps]:
    """Make maps (N, H, W) that do not depend on the model, as baselines of deletion, insertion and ROAD."""
    random = np.random.default_rng(seed)
    center = np.broadcast_to(center_map(*images.shape[1:]), images.shape)
    return {
        RANDOM_ORDER: random.random(images.shape, np.float32),
        BLURRED_NOISE: blurred_noise_maps(images, random),
        CENTER: np.ascontiguousarray(center),
    }


def center_map(height: int, width: int) -> Maps:
    """(H, W) Gaussian in the middle, with a standard deviation of a sixth of the side."""
    y, x = np.mgrid[:height, :width]
    distance = ((y - (height - 1) / 2) / height) ** 2 + ((x - (width - 1) / 2) / width) ** 2
    return np.asarray(np.exp(-distance / (2 * (1 / 6) ** 2)), np.float32)


def _edge_map(image: Gray) -> Maps:
    values = image.astype(np.float32)
    across, down = (cv2.Sobel(values, cv2.CV_32F, *order, ksize=3) for order in ((1, 0), (0, 1)))
    return np.hypot(across, down).astype(np.float32)


def blurred_noise_maps(images: Gray, random: np.random.Generator) -> Maps:
    """(N, H, W) random maps, as smooth as a heat map."""
    return np.stack([_blur_noise(random.random(image.shape, dtype=np.float32)) for image in images])


def _blur_noise(noise: Maps) -> Maps:
    smooth = np.asarray(cv2.GaussianBlur(noise, (0, 0), max(noise.shape) / 16), np.float32)
    return np.asarray(smooth - smooth.min(), np.float32)
