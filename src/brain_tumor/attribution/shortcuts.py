"""Shortcut check: relevance in non-diagnostic regions (borders, corners, burned-in text, everything outside the head).

Images are (N, H, W) uint8, masks (N, H, W) bool.
"""

import cv2
import numpy as np

from brain_tumor.core.types import Floats, Gray, Maps, Masks
from brain_tumor.imaging.head import content_box, segment_head

BORDER_FRACTION = 0.04  # of the side
CORNER_FRACTION = 0.125  # of the side
MAX_TEXT_AREA = 0.004  # fraction of the image that a letter or a line of text covers at most
MIN_TEXT_CONTRAST = 40  # gray levels above the background
MIN_TEXT_PIXELS = 4
SCALP_MARGIN = 0.06  # fraction of the side: nothing so close to the head counts as text


def head_masks(images: Gray) -> Masks:
    """Compute the convex hull of the largest bright object of each image."""
    return np.stack([_head_hull(image) for image in images]) if len(images) else np.zeros(images.shape, bool)


def content_masks(images: Gray) -> Masks:
    """Compute the part of each image inside of its padding and flat borders."""
    masks = np.zeros(images.shape, bool)
    for mask, image in zip(masks, images, strict=True):
        left, top, right, bottom = content_box(image)
        mask[top:bottom, left:right] = True
    return masks


def non_diagnostic_regions(images: Gray, heads: Masks) -> dict[str, Masks]:
    """Compute the regions outside the head by name.

    Args:
        heads: convex hulls of the heads, as `head_masks` returns them.
    """
    height, width = images.shape[1:]
    y, x = np.mgrid[:height, :width]
    edge = np.minimum(np.minimum(y, height - 1 - y) / height, np.minimum(x, width - 1 - x) / width)
    corner = np.maximum(np.minimum(y, height - 1 - y) / height, np.minimum(x, width - 1 - x) / width)
    outside = ~heads
    return {
        "outside_head": outside,
        "borders": (edge < BORDER_FRACTION) & outside,
        "corners": (corner < CORNER_FRACTION) & outside,
        "text": np.stack([_text_mask(*pair) for pair in zip(images, heads, strict=True)]) if len(images) else outside,
    }


def relevance_fraction(maps: Maps, region: Masks) -> tuple[Floats, Floats]:
    """Fractions (N,) of each map's relevance and of its pixels in a region; NaN for an empty region or map."""
    total = maps.sum((1, 2), dtype=np.float64)
    is_defined = region.any((1, 2)) & (total > 0)
    relevance = (maps * region).sum((1, 2), dtype=np.float64) / np.where(total > 0, total, 1.0)
    return np.where(is_defined, relevance, np.nan), np.where(is_defined, region.mean((1, 2)), np.nan)


def _head_hull(image: Gray) -> Masks:
    mask, _ = segment_head(image)
    contours = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    hull = cv2.convexHull(max(contours, key=cv2.contourArea))
    return np.asarray(cv2.fillConvexPoly(np.zeros_like(image), hull, 1), bool)


def _text_mask(image: Gray, head: Masks) -> Masks:
    """Small bright objects outside the head (letters, numbers, scales) with a margin of two pixels."""
    background = float(np.percentile(image, 3))
    # Scalp that a dark rim separates from the head is not text.
    diameter = 2 * round(SCALP_MARGIN * image.shape[0]) + 1
    near = cv2.dilate(head.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter)))
    bright = (image > background + MIN_TEXT_CONTRAST) & (near == 0)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(bright.astype(np.uint8))
    sizes = stats[:, cv2.CC_STAT_AREA]
    is_text = (sizes >= MIN_TEXT_PIXELS) & (sizes <= MAX_TEXT_AREA * image.size)
    is_text[0] = False
    return np.asarray(cv2.dilate(is_text[labels].astype(np.uint8), np.ones((5, 5))), bool)
