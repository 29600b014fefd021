"""Boxes around tumors and their one text format: `left top width height` in whole pixels, joined by `;`."""

import re
from collections.abc import Iterable

import numpy as np

from brain_tumor.core.types import Gray, Masks

TumorBox = tuple[int, int, int, int]  # left, top, width, height in pixels
BOXES = re.compile(r"\d{1,6}( \d{1,6}){3}(;\d{1,6}( \d{1,6}){3})*", re.ASCII)


def format_boxes(boxes: Iterable[TumorBox]) -> str:
    """Format boxes as text, '' for none; sorted by their numbers, so that their order does not change a file."""
    return ";".join(" ".join(map(str, box)) for box in sorted(boxes))


def parse_boxes(text: str) -> list[TumorBox]:
    """Parse boxes in the order of the text; none for ''.

    Raises:
        ValueError: the text has another format.
    """
    if not text:
        return []
    if not BOXES.fullmatch(text):
        raise ValueError(f"box '{text}' is not `left top width height` in pixels, several joined by ;")
    boxes = []
    for box in text.split(";"):
        left, top, width, height = map(int, box.split())
        boxes.append((left, top, width, height))
    return boxes


def scale_boxes(text: str, x: float, y: float) -> str:
    """Return the boxes of a text in an image that was enlarged x-fold in width and y-fold in height.

    Raises:
        ValueError: the text has another format.
    """
    return format_boxes(
        (round(left * x), round(top * y), max(1, round(width * x)), max(1, round(height * y)))
        for left, top, width, height in parse_boxes(text)
    )


def clip_boxes(text: str, width: int, height: int) -> str:
    """Return the boxes of a text without their parts outside an image of `width` × `height` pixels.

    Boxes without area inside it are left out.

    Raises:
        ValueError: the text has another format.
    """
    clipped = (
        (left, top, min(box_width, width - left), min(box_height, height - top))
        for left, top, box_width, box_height in parse_boxes(text)
    )
    return format_boxes(box for box in clipped if min(box[2:]) > 0)


def bounding_box(mask: Masks) -> TumorBox | None:
    """Return the smallest box around a mask (H, W), None if the mask is empty."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return None
    left, top, right, bottom = int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])
    return left, top, right - left + 1, bottom - top + 1


def fill_boxes(text: str, shape: tuple[int, ...]) -> Gray | None:
    """Draw the boxes of a text into a mask of the shape (H, W), 255 inside and 0 outside; None for ''.

    Parts of a box outside the image are cut off.

    Raises:
        ValueError: the text has another format.
    """
    if not text:
        return None
    mask = np.zeros(shape, np.uint8)
    for left, top, width, height in parse_boxes(text):
        mask[top : top + height, left : left + width] = 255
    return mask
