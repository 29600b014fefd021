"""Thumbnails of fixed size for near-duplicate detection: of the image without borders, and of the head alone."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from brain_tumor.audit.display import undo_display
from brain_tumor.core.types import Gray
from brain_tumor.imaging.head import MIN_CONTENT_PIXELS, head_quality_warning, locate_head

THUMBNAIL_SIDE = 64  # pixels


class Thumbnails(NamedTuple):
    """Two square thumbnails of an image.

    Both are resized to a square, so that they rotate with the image.

    Attributes:
        frame: (THUMBNAIL_SIDE, THUMBNAIL_SIDE), the image without flat borders. It is robust to what changes the
            outline of the head: contrast, dark edges.
        head: (THUMBNAIL_SIDE, THUMBNAIL_SIDE), the largest bright object. It is robust to padding, burned-in text and
            crops around it.
        quality_warning: why the image does not look like a slice of a head, '' if it does.
    """

    frame: Gray
    head: Gray
    quality_warning: str


def make_thumbnails(gray: Gray) -> Thumbnails:
    """Make the thumbnails of an (H, W) image of at least one pixel, see `display` for what is undone before."""
    shown, display_warning = undo_display(gray)
    view = locate_head(shown)
    small, (left, top, right, bottom) = Image.fromarray(view.gray), view.box
    size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    frame = small.resize(size, Image.Resampling.BOX)
    large_enough = min(right - left, bottom - top) >= MIN_CONTENT_PIXELS
    head = small.resize(size, Image.Resampling.BOX, box=view.box) if large_enough else frame
    return Thumbnails(np.asarray(frame), np.asarray(head), display_warning or head_quality_warning(view))
