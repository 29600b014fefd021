"""Small pictures of an image by which copies are found: borders gone, the head alone, always the same size."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Gray = NDArray[np.uint8]
Box = tuple[int, int, int, int]
SIDE = 64
WORK = 256  # the longer side on which the head is looked for
FLAT = 0.08  # share of an image's gray range within which a row or column is border: JPEG noise, no anatomy
LEAST = 16  # rows and columns that are left in any case
ROUNDS = 16  # frames within frames that are looked through


class Thumbnails(NamedTuple):
    """Two (SIDE, SIDE) uint8 pictures, squeezed to a square so that turning the image turns them alike.

    `frame` is the image without flat borders; it survives what changes the head's outline (contrast, dark
    edges). `head` is the largest bright object; it survives padding, letters and crops around it.
    `doubt` says why the image does not look like a slice of a head, '' if it does.
    """

    frame: Gray
    head: Gray
    doubt: str


def thumbnails(gray: Gray) -> Thumbnails:
    """Make the thumbnails of an (H, W) image of at least one pixel."""
    left, top, right, bottom = inner_box(gray)
    image = Image.fromarray(gray[top:bottom, left:right])
    scale = min(1.0, WORK / max(image.size))
    size = (max(16, round(image.width * scale)), max(16, round(image.height * scale)))
    small = image.resize(size, Image.Resampling.BOX)
    whole = small.resize((SIDE, SIDE), Image.Resampling.BOX)
    mask, box = head(np.asarray(small))
    found = min(box[2] - box[0], box[3] - box[1]) >= 16
    cropped = small.resize((SIDE, SIDE), Image.Resampling.BOX, box=box) if found else whole
    return Thumbnails(np.asarray(whole), np.asarray(cropped), doubt(np.asarray(small), mask, box))


def inner_box(gray: Gray) -> Box:
    """(left, top, right, bottom) without the flat rows and columns around: borders, frames, padding."""
    box = (0, 0, gray.shape[1], gray.shape[0])
    noise = FLAT * (int(gray.max()) - int(gray.min()))
    # Without flat columns a row may be flat that was not: a picture in a frame on a page.
    for _ in range(ROUNDS):
        left, top, right, bottom = box
        top, bottom = _busy(gray[top:bottom, left:right], top, noise)
        left, right = _busy(gray[top:bottom, left:right].T, left, noise)
        if box == (left, top, right, bottom):
            break
        box = (left, top, right, bottom)
    return box


def _busy(lines: Gray, start: int, noise: float) -> tuple[int, int]:
    """First line that is not flat, and the one after the last, counted from `start`; at least LEAST around them."""
    busy = np.flatnonzero(lines.max(1) - lines.min(1) > noise)
    first, last = (int(busy[0]), int(busy[-1]) + 1) if len(busy) else (len(lines) // 2, len(lines) // 2)
    lacking = max(0, LEAST - (last - first))
    first = max(0, min(first - lacking // 2, len(lines) - LEAST))
    return start + first, start + min(len(lines), max(last, first + LEAST))


def foreground(gray: Gray) -> float:
    """The gray level above which a pixel is tissue: half way from the background to Otsu's threshold."""
    otsu = cv2.threshold(gray, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0]
    background = float(np.percentile(gray, 3))
    return background + max(6.0, 0.5 * (otsu - background))


def head(gray: Gray) -> tuple[NDArray[np.uint8], Box]:
    """The largest bright object, which burnt-in letters are not: its mask (0 or 1) and its box."""
    blurred = np.asarray(cv2.GaussianBlur(gray, (5, 5), 0), np.uint8)
    bright = cv2.morphologyEx((blurred > foreground(blurred)).astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5)))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(bright)
    if count < 2:
        return np.ones_like(gray), (0, 0, gray.shape[1], gray.shape[0])
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    x, y, width, height = (int(value) for value in stats[largest, :4])
    return (labels == largest).astype(np.uint8), (x, y, x + width, y + height)


def doubt(gray: Gray, mask: NDArray[np.uint8], box: Box) -> str:
    """Why an image does not look like a slice of a head: one compact bright object on darker ground.

    The limits are wide: they are meant for charts, photographs, pages of text and noise among the slices.
    """
    height, width = box[3] - box[1], box[2] - box[0]
    if min(gray.shape) < 24:
        return "too little is left within flat borders"
    filled = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((9, 9)))
    contours = cv2.findContours(filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    outline = max(contours, key=cv2.contourArea)
    area, hull = cv2.contourArea(outline), cv2.contourArea(cv2.convexHull(outline))
    if area < 0.04 * gray.size:
        return "no bright object of a head's size"
    if not 0.4 < width / height < 2.5:
        return "the bright object is too long for a head"
    if area < 0.33 * hull:
        return "the bright object is too ragged for a head"
    # Blurred, so that dark specks of noise and text are no ground.
    if np.percentile(cv2.GaussianBlur(gray, (0, 0), WORK / 24), 8) > 0.65 * gray[mask > 0].mean():
        return "no dark ground around a head"
    return ""
