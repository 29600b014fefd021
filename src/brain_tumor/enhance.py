"""Image enhancement: the operations that a recipe lists, in its order, on gray images and their masks."""

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, model_validator

from brain_tumor.images import read_gray
from brain_tumor.params import Block

Gray = NDArray[np.uint8]
Box = tuple[int, int, int, int]


class CropHead(Block):
    """Cut away what surrounds the head.

    `otsu`: everything above Otsu's threshold, closed, all sizeable components together, padded by `padding`
    of the longer side; the whole image if less than `least` of its area would be left. `extreme-points`: as
    in the published notebooks (blur 5×5, threshold 45, two erosions, two dilations, largest contour).
    """

    op: Literal["crop-head"]
    method: Literal["otsu", "extreme-points"] = "otsu"
    padding: float = Field(0.03, ge=0, le=0.5)
    least: float = Field(0.25, ge=0, le=1)


class Clahe(Block):
    """Contrast-limited adaptive histogram equalization (Zuiderveld 1994) on `tiles`×`tiles` tiles."""

    op: Literal["clahe"]
    clip: float = Field(2.0, gt=0)
    tiles: int = Field(8, ge=1)


class Denoise(Block):
    """Median or bilateral filter; `size` is the side of the median window or of the bilateral's, in pixels."""

    op: Literal["denoise"]
    method: Literal["median", "bilateral"] = "median"
    size: Literal[3, 5] = 3


class Resize(Block):
    """Scale to `size`×`size` pixels: `pad` keeps the aspect ratio on black, `squash` does not."""

    op: Literal["resize"]
    size: int = Field(ge=16, le=1024)
    mode: Literal["pad", "squash"]


Operation = Annotated[CropHead | Clahe | Denoise | Resize, Field(discriminator="op")]


class EnhanceParams(Block):
    """`recipes.<name>.enhance`: operations in order; the last one resizes, so that all images fit one array."""

    operations: tuple[Operation, ...]

    @model_validator(mode="after")
    def _ends_with_resize(self) -> "EnhanceParams":
        if [type(op) for op in self.operations].count(Resize) != 1 or not isinstance(self.operations[-1], Resize):
            raise ValueError("operations must end with their only resize")
        return self

    @property
    def size(self) -> int:
        """Side of the enhanced images, in pixels."""
        last = self.operations[-1]
        assert isinstance(last, Resize)
        return last.size


class Enhanced(NamedTuple):
    """An image, its mask (0 or 255; None if it has none) and whether a crop fell back to the whole image."""

    image: Gray
    mask: Gray | None
    whole: bool


def enhance(image: Gray, operations: Sequence[Operation], mask: Gray | None = None) -> Enhanced:
    """Apply the operations to an (H, W) image; a mask of the same size follows crops and resizing."""
    whole = False
    for op in operations:
        if isinstance(op, CropHead):
            box = head_box(image, op)
            whole = whole or box == (0, 0, image.shape[1], image.shape[0])
            left, top, right, bottom = box
            image = image[top:bottom, left:right]
            mask = None if mask is None else mask[top:bottom, left:right]
        elif isinstance(op, Clahe):
            equalized = cv2.createCLAHE(op.clip, (op.tiles, op.tiles)).apply(np.ascontiguousarray(image))
            image = np.asarray(equalized, dtype=np.uint8)
        elif isinstance(op, Denoise):
            image = _denoise(np.ascontiguousarray(image), op)
        else:
            image = resize(image, op)
            mask = None if mask is None else np.where(resize(mask, op) > 127, 255, 0).astype(np.uint8)
    return Enhanced(image, mask, whole)


def enhance_file(content: bytes, operations: Sequence[Operation], mask: bytes | None = None) -> Enhanced:
    """Decode an image file, and perhaps its mask, and enhance it; errors are those of `read_gray`."""
    return enhance(read_gray(content), operations, None if mask is None else read_gray(mask))


def head_box(image: Gray, op: CropHead) -> Box:
    """Return (left, top, right, bottom) of the head, the whole image if none is found."""
    height, width = image.shape
    whole = (0, 0, width, height)
    if op.method == "extreme-points":
        blurred = cv2.GaussianBlur(image, (5, 5), 0)
        found = cv2.threshold(blurred, 45, 255, cv2.THRESH_BINARY)[1]
        square = np.ones((3, 3), np.uint8)
        found = cv2.dilate(cv2.erode(found, square, iterations=2), square, iterations=2)
        contours = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
        if not contours:
            return whole
        points = max(contours, key=cv2.contourArea).reshape(-1, 2)
        left, top = points.min(0)
        right, bottom = points.max(0)
        # The notebooks slice up to the extreme points, so the last row and column are lost: kept as it was.
        return (int(left), int(top), int(right), int(bottom)) if right > left and bottom > top else whole
    found = cv2.threshold(cv2.GaussianBlur(image, (5, 5), 0), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1]
    found = cv2.morphologyEx(found, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    stats = cv2.connectedComponentsWithStats(found)[2][1:]
    stats = stats[stats[:, cv2.CC_STAT_AREA] >= 0.01 * height * width]
    if not len(stats):
        return whole
    pad = round(op.padding * max(height, width))
    left, top = (stats[:, :2].min(0) - pad).clip(0)
    right, bottom = np.minimum((stats[:, :2] + stats[:, 2:4]).max(0) + pad, (width, height))
    enough = (right - left) * (bottom - top) >= op.least * height * width
    return (int(left), int(top), int(right), int(bottom)) if enough else whole


def resize(image: Gray, op: Resize) -> Gray:
    """Scale with Pillow's antialiased bicubic filter: integer arithmetic, the same bits on every CPU."""
    height, width = image.shape
    if op.mode == "squash":
        new_width = new_height = op.size
    else:
        scale = op.size / max(height, width)
        new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(Image.fromarray(image).resize((new_width, new_height), Image.Resampling.BICUBIC))
    if op.mode == "squash":
        return small
    canvas = np.zeros((op.size, op.size), np.uint8)
    top, left = (op.size - new_height) // 2, (op.size - new_width) // 2
    canvas[top : top + new_height, left : left + new_width] = small
    return canvas


def _denoise(image: Gray, op: Denoise) -> Gray:
    if op.method == "median":
        return np.asarray(cv2.medianBlur(image, op.size), dtype=np.uint8)
    return np.asarray(cv2.bilateralFilter(image, op.size, 25, 3), dtype=np.uint8)
