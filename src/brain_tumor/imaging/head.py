"""Locating the head in an image, and checking whether an image looks like a slice of a head."""

from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from brain_tumor.core.types import Box, Gray

HEAD_SEARCH_SIZE = 256  # maximum length, in pixels, of the longer side of the image in which the head is located
FLAT_FRACTION = 0.08  # of an image's gray range: rows and columns that vary less are borders, since JPEG adds noise
MIN_CONTENT_PIXELS = 16  # rows and columns that remain in any case
MAX_BORDER_PASSES = 16  # number of nested frames that are removed
MAX_FILLED_OBJECTS = 50  # as levels of a mask there may be 254
MAX_HISTOGRAM_PIXELS = 2**24  # OpenCV counts in float32
DARK_PERCENTILE, MAX_DARK_FRACTION = 8, 0.65  # this percentile of the gray levels is at most this × the head's mean
BLUR_SIGMA = HEAD_SEARCH_SIZE / 24  # pixels
# Halving an image of at least this side changes DARK_PERCENTILE of its blur by less than this: 12.3 gray levels at most
# in 4,000 images with hard edges, stripes, blocks, dots and noise.
MIN_HALVED_SIDE, MAX_HALVING_ERROR = 64, 20.0


def content_box(gray: Gray) -> Box:
    """Return the box of an (H, W) image without the flat rows and columns at its edges: borders, frames, padding."""
    box = (0, 0, gray.shape[1], gray.shape[0])
    noise = FLAT_FRACTION * (int(gray.max()) - int(gray.min()))
    # Removing columns may turn a row into a flat one, as for an image in a frame on a page.
    for _ in range(MAX_BORDER_PASSES):
        left, top, right, bottom = box
        top, bottom = _content_range(gray[top:bottom, left:right], top, noise)
        left, right = _content_range(gray[top:bottom, left:right].T, left, noise)
        if box == (left, top, right, bottom):
            break
        box = (left, top, right, bottom)
    return box


def _content_range(lines: Gray, start: int, noise: float) -> tuple[int, int]:
    """Return the first line that is not flat and the end of the last one, at least MIN_CONTENT_PIXELS apart.

    Args:
        lines: (N, M), the rows or the columns of an image.
        start: index of the first of the lines in the image; added to the result.
        noise: range of gray levels up to which a line is flat.
    """
    busy = np.flatnonzero(lines.max(1) - lines.min(1) > noise)
    first, last = (int(busy[0]), int(busy[-1]) + 1) if len(busy) else (len(lines) // 2, len(lines) // 2)
    lacking = max(0, MIN_CONTENT_PIXELS - (last - first))
    first = max(0, min(first - lacking // 2, len(lines) - MIN_CONTENT_PIXELS))
    return start + first, start + min(len(lines), max(last, first + MIN_CONTENT_PIXELS))


def gray_percentile(gray: Gray, percent: float) -> float:
    """Return the same number as `np.percentile`, from the histogram of an (H, W) image."""
    if gray.size >= MAX_HISTOGRAM_PIXELS:
        return float(np.percentile(gray, percent))
    at_most = np.cumsum(cv2.calcHist([gray], [0], None, [256], [0, 256]).astype(np.int64))  # pixels by gray level
    position = percent / 100 * (gray.size - 1)
    before = int(position)
    low, high = (int(level) for level in np.searchsorted(at_most, [before, min(before + 1, gray.size - 1)], "right"))
    weight = position - before
    return low + (high - low) * weight if weight < 0.5 else high - (high - low) * (1 - weight)


def foreground_threshold(gray: Gray) -> float:
    """Return the gray level above which a pixel is tissue: halfway from the background to Otsu's threshold."""
    otsu = cv2.threshold(gray, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0]
    background = gray_percentile(gray, 3)
    return background + max(6.0, 0.5 * (otsu - background))


def segment_head(gray: Gray) -> tuple[Gray, Box]:
    """Segment the largest bright object of an (H, W) image, which leaves out burned-in text.

    Returns:
        mask: (H, W), 1 on the head and 0 elsewhere; 1 everywhere if there is no bright object.
        box: around the mask.
    """
    blurred = np.asarray(cv2.GaussianBlur(gray, (5, 5), 0), np.uint8)
    bright = (blurred > foreground_threshold(blurred)).astype(np.uint8)
    bright = np.asarray(cv2.morphologyEx(bright, cv2.MORPH_OPEN, np.ones((5, 5))), np.uint8)
    return largest_object(bright) or (np.ones_like(gray), (0, 0, gray.shape[1], gray.shape[0]))


def largest_object(mask: Gray) -> tuple[Gray, Box] | None:
    """Return the object of the most pixels in an (H, W) mask of 0 and 1, and the box around it; None if there is none.

    Pixels that touch at a corner belong together. Few objects are filled one after the other, which takes a third of
    the time of labeling all of them.
    """
    contours, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return None
    outlines = [contour for contour, place in zip(contours, hierarchy[0], strict=True) if place[3] < 0]
    boxes = [cv2.boundingRect(outline) for outline in outlines]
    filled, area, number, box = mask.copy(), 0, 1, (0, 0, 0, 0)
    order = sorted(range(len(boxes)), key=lambda index: -boxes[index][2] * boxes[index][3])
    for level, index in enumerate(order[:MAX_FILLED_OBJECTS], 2):
        x, y, width, height = boxes[index]
        if width * height < area:
            break
        start = (int(outlines[index][0, 0, 0]), int(outlines[index][0, 0, 1]))
        pixels = cv2.floodFill(filled, None, start, (level,), flags=8)[0]
        if pixels == area:
            return _largest_by_labels(mask)
        if pixels > area:
            area, number, box = pixels, level, (x, y, x + width, y + height)
    if len(order) > MAX_FILLED_OBJECTS:
        return _largest_by_labels(mask)
    return (filled == number).astype(np.uint8), box


def _largest_by_labels(mask: Gray) -> tuple[Gray, Box]:
    """Do the same as `largest_object` for any number of objects; of equal ones, the first label counts."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    x, y, width, height = (int(value) for value in stats[largest, :4])
    return (labels == largest).astype(np.uint8), (x, y, x + width, y + height)


class HeadView(NamedTuple):
    """An image without flat borders, scaled down to at most HEAD_SEARCH_SIZE, and the head in it.

    Attributes:
        gray: (H, W).
        mask: (H, W), 1 on the head and 0 elsewhere.
        box: around the head.
    """

    gray: Gray
    mask: Gray
    box: Box


def locate_head(gray: Gray) -> HeadView:
    """Remove the flat borders of an (H, W) image of at least one pixel, scale it down, and segment the head."""
    left, top, right, bottom = content_box(gray)
    image = Image.fromarray(gray[top:bottom, left:right])
    scale = min(1.0, HEAD_SEARCH_SIZE / max(image.size))
    size = (max(16, round(image.width * scale)), max(16, round(image.height * scale)))
    small = np.asarray(image.resize(size, Image.Resampling.BOX))
    return HeadView(small, *segment_head(small))


def head_quality_warning(view: HeadView) -> str:
    """Return why an image does not look like a slice of a head, '' if it does.

    A slice of a head is one compact bright object on a dark background. The limits are wide: they are meant to detect
    charts, photographs, pages of text and noise among the slices.
    """
    gray, mask, box = view
    height, width = box[3] - box[1], box[2] - box[0]
    if min(gray.shape) < 24:
        return "the image without its flat borders is too small"
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((9, 9)))
    contours = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    outline = max(contours, key=cv2.contourArea)
    area, hull = cv2.contourArea(outline), cv2.contourArea(cv2.convexHull(outline))
    if area < 0.04 * gray.size:
        return "no bright object of a head's size"
    if not 0.4 < width / height < 2.5:
        return "the bright object is too elongated for a head"
    if area < 0.33 * hull:
        return "the bright object is too ragged for a head"
    if not has_dark_background(gray, MAX_DARK_FRACTION * cv2.mean(gray, mask)[0]):
        return "no dark background around a head"
    return ""


def has_dark_background(gray: Gray, limit: float) -> bool:
    """Return whether DARK_PERCENTILE of the pixels of an (H, W) image are at most at a gray level.

    The image is blurred first, so that dark specks of noise and text do not count as background. A blur of the halved
    image in float32, which takes a fifteenth of the time, decides where it is clear.
    """
    height, width = gray.shape
    if min(gray.shape) >= MIN_HALVED_SIDE:
        half = cv2.resize(gray, (width // 2, height // 2), interpolation=cv2.INTER_AREA).astype(np.float32)
        blurred = cv2.GaussianBlur(half, (0, 0), BLUR_SIGMA / 2)
        rough = gray_percentile(np.rint(blurred).astype(np.uint8), DARK_PERCENTILE)
        if abs(rough - limit) > MAX_HALVING_ERROR:
            return rough <= limit
    exact = np.asarray(cv2.GaussianBlur(gray, (0, 0), BLUR_SIGMA), np.uint8)
    return gray_percentile(exact, DARK_PERCENTILE) <= limit
