"""Where no diagnosis can come from: borders, corners, burnt-in text and all that is outside the head.

Images are (N, H, W) uint8, areas (N, H, W) bool.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from brain_tumor import thumbnails

Gray = NDArray[np.uint8]
Maps = NDArray[np.float32]
Areas = NDArray[np.bool_]
Values = NDArray[np.float64]
BORDER = 0.04  # of the side
CORNER = 0.125
TEXT = 0.004  # most of an image that one letter or line of text outside the head covers
SCALP = 0.06  # of the side: nothing so near to the head is taken for text
BRIGHT = 40  # gray levels above the ground that text has at least


def heads(images: Gray) -> Areas:
    """The convex hull of the largest bright object of each image."""
    return np.stack([_hull(image) for image in images]) if len(images) else np.zeros(images.shape, bool)


def areas(images: Gray, inside: Areas) -> dict[str, Areas]:
    """The areas that are measured, by name, outside of the heads' hulls."""
    height, width = images.shape[1:]
    y, x = np.mgrid[:height, :width]
    edge = np.minimum(np.minimum(y, height - 1 - y) / height, np.minimum(x, width - 1 - x) / width)
    corner = np.maximum(np.minimum(y, height - 1 - y) / height, np.minimum(x, width - 1 - x) / width)
    outside = ~inside
    return {
        "outside_head": outside,
        "borders": (edge < BORDER) & outside,
        "corners": (corner < CORNER) & outside,
        "text": np.stack([_text(*pair) for pair in zip(images, inside, strict=True)]) if len(images) else outside,
    }


def share(maps: Maps, area: Areas) -> tuple[Values, Values]:
    """(N,) share of each map's relevance in an area, and of its pixels; NaN where there is no such area or map."""
    total = maps.sum((1, 2), dtype=np.float64)
    known = area.any((1, 2)) & (total > 0)
    relevance = (maps * area).sum((1, 2), dtype=np.float64) / np.where(total > 0, total, 1.0)
    return np.where(known, relevance, np.nan), np.where(known, area.mean((1, 2)), np.nan)


def _hull(image: Gray) -> Areas:
    mask, _ = thumbnails.head(image)
    contours = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    hull = cv2.convexHull(max(contours, key=cv2.contourArea))
    return np.asarray(cv2.fillConvexPoly(np.zeros_like(image), hull, 1), bool)


def _text(image: Gray, inside: Areas) -> Areas:
    """Small bright things outside the head: letters, numbers, scales, and a margin of two pixels around them."""
    ground = float(np.percentile(image, 3))
    # Scalp that a dark rim separates from the head is no text.
    reach = 2 * round(SCALP * image.shape[0]) + 1
    near = cv2.dilate(inside.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    bright = (image > ground + BRIGHT) & (near == 0)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(bright.astype(np.uint8))
    sizes = stats[:, cv2.CC_STAT_AREA]
    small = (sizes >= 4) & (sizes <= TEXT * image.size)
    small[0] = False
    return np.asarray(cv2.dilate(small[labels].astype(np.uint8), np.ones((5, 5))), bool)
