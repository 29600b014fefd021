"""Tumor masks and boxes from shapes that were drawn with the VGG Image Annotator (VIA)."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, field_validator, model_validator

from brain_tumor.core.errors import UserError
from brain_tumor.core.types import Masks
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.imaging.boxes import bounding_box, format_boxes
from brain_tumor.imaging.decode import UnreadableImageError, decode_gray
from brain_tumor.imaging.encode import encode_mask

log = logging.getLogger(__name__)
Pixels = Annotated[float, Field(ge=-100_000, le=100_000, allow_inf_nan=False)]
ELLIPSE_STEP_DEGREES = 3  # between the points of the polygon that approximates an ellipse


class Polygon(BaseModel):
    """A closed polygon; a polyline is closed as well."""

    name: Literal["polygon", "polyline"]
    all_points_x: list[Pixels] = Field(min_length=1, max_length=100_000)
    all_points_y: list[Pixels]

    @model_validator(mode="after")
    def _require_pairs(self) -> "Polygon":
        if len(self.all_points_x) != len(self.all_points_y):
            raise ValueError("all_points_x and all_points_y differ in length")
        return self

    def corners(self) -> list[tuple[float, float]]:
        """Return the corners (x, y) in pixels."""
        return list(zip(self.all_points_x, self.all_points_y, strict=True))


class Rectangle(BaseModel):
    """A rectangle with sides along the axes of the image."""

    name: Literal["rect"]
    x: Pixels
    y: Pixels
    width: Pixels
    height: Pixels

    def corners(self) -> list[tuple[float, float]]:
        """Return the corners (x, y) in pixels."""
        # The last pixels inside, not the first ones outside.
        right, bottom = self.x + max(self.width - 1, 0), self.y + max(self.height - 1, 0)
        return [(self.x, self.y), (right, self.y), (right, bottom), (self.x, bottom)]


class Circle(BaseModel):
    """A circle."""

    name: Literal["circle"]
    cx: Pixels
    cy: Pixels
    r: Pixels

    def corners(self) -> list[tuple[float, float]]:
        """Return points (x, y) on the circle in pixels."""
        return _ellipse_points(self.cx, self.cy, self.r, self.r, 0.0)


class Ellipse(BaseModel):
    """An ellipse, rotated clockwise by `theta` (radians)."""

    name: Literal["ellipse"]
    cx: Pixels
    cy: Pixels
    rx: Pixels
    ry: Pixels
    theta: Pixels = 0.0

    def corners(self) -> list[tuple[float, float]]:
        """Return points (x, y) on the ellipse in pixels."""
        return _ellipse_points(self.cx, self.cy, self.rx, self.ry, self.theta)


Shape = Annotated[Polygon | Rectangle | Circle | Ellipse, Field(discriminator="name")]


class _Region(BaseModel):
    shape_attributes: Shape | None

    @field_validator("shape_attributes", mode="before")
    @classmethod
    def _drop_empty_shapes(cls, value: Any) -> Any:
        """Replace points and regions without a shape, which cover no area, by None."""
        return None if value == {} or (isinstance(value, dict) and value.get("name") == "point") else value


class _FileEntry(BaseModel):
    filename: str
    size: int = -1  # of the file in bytes; VIA writes -1 if the size is unknown
    regions: list[_Region] | dict[str, _Region] = Field(default_factory=list)

    def shapes(self) -> list[Shape]:
        regions = self.regions.values() if isinstance(self.regions, dict) else self.regions
        return [region.shape_attributes for region in regions if region.shape_attributes is not None]


class ViaAnnotations:
    """The shapes in an annotation file of VIA (versions 1 and 2), by file name.

    Args:
        content: JSON that VIA exports, or a project file of VIA with `_via_img_metadata`.
        source: name of the annotation file in messages.

    Raises:
        UserError: another format, or several entries with shapes for one file name.
    """

    def __init__(self, content: bytes, source: str) -> None:
        self._source = source
        try:
            document = TypeAdapter(dict[str, object]).validate_json(content)
            entries = TypeAdapter(dict[str, _FileEntry]).validate_python(document.get("_via_img_metadata", document))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            key = ".".join(map(str, first["loc"])) or "the whole file"
            raise UserError(f"{source} is not an annotation file of VIA: {key}: {first['msg']}") from None
        self._entries: dict[str, _FileEntry] = {}
        for entry in entries.values():
            if entry.shapes() and entry.filename in self._entries:
                raise UserError(f"{source} has ambiguous annotations: several entries for {entry.filename}")
            if entry.shapes():
                self._entries[entry.filename] = entry

    def add_to(self, images: Iterable[RawImage]) -> Iterator[RawImage]:
        """Add a mask of the shapes, and a box around each shape, to every image whose file name has shapes.

        An image stays without a mask, and a warning is logged, if its size in bytes is not that of the annotated file,
        if it cannot be read, or if all shapes lie outside of it.

        Raises:
            UserError: two images have the same annotated file name.
        """
        used: dict[str, str] = {}
        without_mask: list[str] = []
        for image in images:
            name = PurePosixPath(image.path).name
            entry = self._entries.get(name)
            if entry is None:
                yield image
                continue
            if name in used:
                raise UserError(f"{self._source}: {name} may be {used[name]} or {image.path}: file names must differ")
            used[name] = image.path
            if entry.size in (-1, len(image.content)):
                image = add_shapes(image, entry.shapes())
            if image.mask is None:
                without_mask.append(image.path)
            yield image
        if without_mask:
            more = f" and {len(without_mask) - 1} more" if len(without_mask) > 1 else ""
            log.warning(
                "%s: no mask for %s%s: not the annotated file, unreadable, or shapes outside the image",
                self._source, without_mask[0], more,
            )  # fmt: skip
        if missing := sorted(self._entries.keys() - used.keys()):
            log.warning(
                "%s: %d of %d files with shapes are not among the images (%s, …)",
                self._source, len(missing), len(self._entries), missing[0],
            )  # fmt: skip


def add_shapes(image: RawImage, shapes: Iterable[Shape]) -> RawImage:
    """Return the image with a mask of the shapes and a box around each shape.

    The image is returned unchanged if it cannot be read, or if all shapes lie outside of it.
    """
    try:
        size = decode_gray(image.content).shape
    except UnreadableImageError:  # the audit will list it
        return image
    union, boxes = np.zeros(size, np.bool_), []
    for shape in shapes:
        mask = fill_shape(shape, size)
        union |= mask
        boxes.append(bounding_box(mask))
    if not union.any():
        return image
    return image._replace(mask=encode_mask(union), box=format_boxes(filter(None, boxes)))


def fill_shape(shape: Shape, size: tuple[int, ...]) -> Masks:
    """Return the mask of a shape, its outline included, in an image of the size (H, W)."""
    canvas = np.zeros(size, np.uint8)
    corners = np.rint(np.array(shape.corners())).astype(np.int32)
    cv2.fillPoly(canvas, [corners], 255)
    mask: Masks = canvas > 0
    return mask


def _ellipse_points(cx: float, cy: float, rx: float, ry: float, theta: float) -> list[tuple[float, float]]:
    angles = np.deg2rad(np.arange(0, 360, ELLIPSE_STEP_DEGREES))
    x, y = rx * np.cos(angles), ry * np.sin(angles)
    rotated = zip(cx + x * np.cos(theta) - y * np.sin(theta), cy + x * np.sin(theta) + y * np.cos(theta), strict=True)
    return [(float(a), float(b)) for a, b in rotated]
