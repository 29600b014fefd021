"""Localization of the tumor by heat maps, measured against masks.

Maps are (N, H, W), 0 or more; masks (N, H, W) bool. Each metric is one value per image.
"""

import numpy as np

from brain_tumor.core.types import Floats, Maps, Masks

LEVELS = 1000  # of a map's values up to its maximum, between which thresholds are tried
IOU_LEVELS = slice(25, LEVELS, 25)  # thresholds of the best IoU
# Fractions of the image that a tumor covers: name, least, and upper limit.
TUMOR_SIZES = (("below 1 %", 0.0, 0.01), ("1 to 3 %", 0.01, 0.03), ("3 % and more", 0.03, 1.01))


def localization_metrics(maps: Maps, masks: Masks) -> dict[str, Floats]:
    """Compute all localization metrics by name, (N,) each; NaN where the mask is empty."""
    has_mask = masks.any((1, 2))
    auprc, iou_best, iou_half = np.full((3, len(maps)), np.nan)
    for k in np.flatnonzero(has_mask):
        auprc[k], iou_best[k], iou_half[k] = _threshold_metrics(maps[k], masks[k])
    metrics = {
        "pointing": pointing_game(maps, masks),
        "relevance_inside": relevance_inside(maps, masks),
        "area": masks.mean((1, 2)),
        "auprc": auprc,
        "iou_best": iou_best,
        "iou_half": iou_half,
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


def tumor_sizes(masks: Masks) -> list[str]:
    """Return the name in TUMOR_SIZES of each mask; '' for an empty one."""
    names = []
    for area in masks.mean((1, 2)):
        names.append("" if not area else next(name for name, low, high in TUMOR_SIZES if low <= area < high))
    return names


def _threshold_metrics(values: Maps, mask: Masks) -> tuple[float, float, float]:
    """Compute the AUPRC of the pixels, and the IoU at the best threshold and at half of the map's maximum.

    The AUPRC is the average precision of pixels that are ranked by their relevance, in LEVELS steps; that of a map
    without information is the fraction of the area.
    """
    maximum, size = float(values.max()), int(mask.sum())
    if maximum <= 0:
        return size / mask.size, 0.0, 0.0
    levels = np.minimum(np.floor(values.astype(np.float64) / maximum * LEVELS + 1e-3), LEVELS).astype(np.int64)
    total, inside = (np.bincount(part, minlength=LEVELS + 1) for part in (levels.ravel(), levels[mask]))
    selected, hits = (np.cumsum(counts[::-1])[::-1] for counts in (total, inside))  # at each level and above
    precision = hits / np.maximum(selected, 1)
    iou = hits / np.maximum(selected + size - hits, 1)
    return float((inside * precision).sum() / size), float(iou[IOU_LEVELS].max()), float(iou[LEVELS // 2])
