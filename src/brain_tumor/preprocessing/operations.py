"""Preprocessing: the operations that a recipe lists, applied in its order to gray images and their masks."""

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import cv2
import numpy as np
from PIL import Image
from pydantic import Field, model_validator

from brain_tumor.core.params import Block
from brain_tumor.core.types import Box, Gray

MIN_COMPONENT_FRACTION = 0.01  # of the image's area: smaller bright components do not count as head


class CropHead(Block):
    """Crop the image to the head.

    Attributes:
        method: `otsu` takes all large components above Otsu's threshold, after closing. `extreme-points` does as the
            published notebooks: blur 5×5, threshold 45, two erosions, two dilations, largest contour.
        padding: margin around the head as a fraction of the image's longer side; only for `otsu`.
        min_area_fraction: the crop is skipped if it would keep a smaller fraction of the image's area; only for `otsu`.
    """

    op: Literal["crop-head"]
    method: Literal["otsu", "extreme-points"] = "otsu"
    padding: float = Field(0.03, ge=0, le=0.5)
    min_area_fraction: float = Field(0.25, ge=0, le=1)


class Clahe(Block):
    """Contrast-limited adaptive histogram equalization (Zuiderveld 1994).

    Attributes:
        clip: contrast limit, as in OpenCV.
        tiles: the image is divided into `tiles`×`tiles` tiles.
    """

    op: Literal["clahe"]
    clip: float = Field(2.0, gt=0)
    tiles: int = Field(8, ge=1)


class Denoise(Block):
    """Median or bilateral filter.

    Attributes:
        method: kind of filter.
        size: side of the filter's window in pixels.
    """

    op: Literal["denoise"]
    method: Literal["median", "bilateral"] = "median"
    size: Literal[3, 5] = 3


class Resize(Block):
    """Scale the image to a square.

    Attributes:
        size: side of the square in pixels.
        mode: `pad` keeps the aspect ratio and pads with black, `stretch` changes the aspect ratio.
    """

    op: Literal["resize"]
    size: int = Field(ge=16, le=1024)
    mode: Literal["pad", "stretch"]


Operation = Annotated[CropHead | Clahe | Denoise | Resize, Field(discriminator="op")]


class PreprocessParams(Block):
    """`recipes.<name>.preprocess`: operations on all images and their masks.

    Attributes:
        operations: operations in the order of their application; the last one, and only that one, is `resize`.
    """

    operations: tuple[Operation, ...]

    @model_validator(mode="after")
    def _require_final_resize(self) -> "PreprocessParams":
        if [type(op) for op in self.operations].count(Resize) != 1 or not isinstance(self.operations[-1], Resize):
            raise ValueError("operations must end with their only resize")
        return self

    @property
    def size(self) -> int:
        """Side of the preprocessed images in pixels."""
        last = self.operations[-1]
        assert isinstance(last, Resize)
        return last.size


class Preprocessed(NamedTuple):
    """A preprocessed image.

    Attributes:
        image: (H, W).
        mask: (H, W), 0 or 255; None if the image has no mask.
        crop_skipped: whether a crop kept the whole image.
    """

    image: Gray
    mask: Gray | None
    crop_skipped: bool


def preprocess(image: Gray, operations: Sequence[Operation], mask: Gray | None = None) -> Preprocessed:
    """Apply operations to an (H, W) image, and crops and resizing to its mask (H, W), where above 127 is inside."""
    crop_skipped = False
    for op in operations:
        if isinstance(op, CropHead):
            box = find_head_box(image, op)
            crop_skipped = crop_skipped or box == (0, 0, image.shape[1], image.shape[0])
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
    return Preprocessed(image, mask, crop_skipped)


def find_head_box(image: Gray, op: CropHead) -> Box:
    """Find the box to crop an (H, W) image to; it is the whole image if there is no head."""
    height, width = image.shape
    whole_image = (0, 0, width, height)
    if op.method == "extreme-points":
        blurred = cv2.GaussianBlur(image, (5, 5), 0)
        mask = cv2.threshold(blurred, 45, 255, cv2.THRESH_BINARY)[1]
        kernel = np.ones((3, 3), np.uint8)
        mask = cv2.dilate(cv2.erode(mask, kernel, iterations=2), kernel, iterations=2)
        contours = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
        if not contours:
            return whole_image
        points = max(contours, key=cv2.contourArea).reshape(-1, 2)
        left, top = points.min(0)
        right, bottom = points.max(0)
        # The last row and column are lost, as in the notebooks, which slice up to the extreme points.
        return (int(left), int(top), int(right), int(bottom)) if right > left and bottom > top else whole_image
    mask = cv2.threshold(cv2.GaussianBlur(image, (5, 5), 0), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1]
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    stats = cv2.connectedComponentsWithStats(mask)[2][1:]
    stats = stats[stats[:, cv2.CC_STAT_AREA] >= MIN_COMPONENT_FRACTION * height * width]
    if not len(stats):
        return whole_image
    pad = round(op.padding * max(height, width))
    left, top = (stats[:, :2].min(0) - pad).clip(0)
    right, bottom = np.minimum((stats[:, :2] + stats[:, 2:4]).max(0) + pad, (width, height))
    large_enough = (right - left) * (bottom - top) >= op.min_area_fraction * height * width
    return (int(left), int(top), int(right), int(bottom)) if large_enough else whole_image


def resize(image: Gray, op: Resize) -> Gray:
    """Scale an (H, W) image to (S, S) with Pillow's antialiased bicubic filter.

    Its arithmetic is that of integers, so the result is the same on every CPU.
    """
    height, width = image.shape
    if op.mode == "stretch":
        new_width = new_height = op.size
    else:
        scale = op.size / max(height, width)
        new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(Image.fromarray(image).resize((new_width, new_height), Image.Resampling.BICUBIC))
    if op.mode == "stretch":
        return small
    canvas = np.zeros((op.size, op.size), np.uint8)
    top, left = (op.size - new_height) // 2, (op.size - new_width) // 2
    canvas[top : top + new_height, left : left + new_width] = small
    return canvas


def _denoise(image: Gray, op: Denoise) -> Gray:
    if op.method == "median":
        return np.asarray(cv2.medianBlur(image, op.size), dtype=np.uint8)
    return np.asarray(cv2.bilateralFilter(image, op.size, 25, 3), dtype=np.uint8)
