"""What a viewer did to an image before it was saved: inverted gray levels, and the window of the viewer around it.

Both are undone before images are compared, so that a screenshot or a negative of an image is found to be its duplicate.
"""

import cv2
import numpy as np

from brain_tumor.core.types import Gray
from brain_tumor.imaging.head import head_quality_warning, largest_object, locate_head

MIN_BRIGHT_BACKGROUND = 24  # gray level: darker corners are the background of an ordinary image
CORNER_FRACTION = 0.06  # of the sides: size of the squares in the corners
FRAME_TOLERANCE = 3  # gray levels between neighboring pixels of a frame
MIN_FRAME_FRACTION = 0.08  # of the pixels: less is a border
MIN_FRAMED_FRACTION = 0.25  # of the pixels that an image in a frame has
MIN_FILLED_FRACTION = 0.97  # of the box around it that an image in a frame fills: less is a head on its background


def undo_display(gray: Gray) -> tuple[Gray, str]:
    """Cut an (H, W) image out of the window of a viewer, and undo the inversion of its gray levels.

    Returns:
        The image, the same array where there is nothing to undo; and what was undone, '' for nothing.
    """
    if _corner_levels(gray)[2] < MIN_BRIGHT_BACKGROUND:
        return gray, ""
    inside = _cut_out_of_frame(gray)
    if inside is not gray:
        return inside, "the image is inside a frame, as in a screenshot"
    inverted = np.bitwise_not(gray)
    if _has_bright_background(gray) and not head_quality_warning(locate_head(inverted)):
        return inverted, "bright background: the gray levels may be inverted"
    return gray, ""


def _corner_levels(gray: Gray) -> list[float]:
    """Return the mean gray levels of the four corners, without the lines at the very edge, the darkest first."""
    height, width = (max(1, round(CORNER_FRACTION * side)) for side in gray.shape)
    rows, columns = ((slice(size // 2, 2 * size), slice(-2 * size, -(size // 2) or None)) for size in (height, width))
    return sorted(cv2.mean(gray[row, column])[0] for row in rows for column in columns)


def _cut_out_of_frame(gray: Gray) -> Gray:
    """Return the largest object in a frame of one gray level that differs from the object's own background."""
    height, width = gray.shape
    mask = np.zeros((height + 2, width + 2), np.uint8)
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | (1 << 8)
    for x, y in ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)):
        if gray[y, x] >= MIN_BRIGHT_BACKGROUND:
            cv2.floodFill(gray.copy(), mask, (x, y), (0,), FRAME_TOLERANCE, FRAME_TOLERANCE, flags)
    frame = mask[1:-1, 1:-1]
    found = largest_object(1 - frame) if frame.mean() >= MIN_FRAME_FRACTION else None
    if found is None:
        return gray
    mask, (left, top, right, bottom) = found
    inside, filled = gray[top:bottom, left:right], int(mask.sum())
    is_image = filled >= max(MIN_FRAMED_FRACTION * gray.size, MIN_FILLED_FRACTION * inside.size)
    return inside if is_image and _corner_levels(inside)[1] < MIN_BRIGHT_BACKGROUND else gray


def _has_bright_background(gray: Gray) -> bool:
    """Return whether three corners are brighter than the threshold between dark and bright pixels (Otsu)."""
    return _corner_levels(gray)[1] > cv2.threshold(gray, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0]
