"""Where the tumor is in an image: boxes from masks, and masks from shapes drawn with the VGG Image Annotator."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, field_validator, model_validator

from brain_tumor.archive import RawImage
from brain_tumor.encoding import encode_mask
from brain_tumor.errors import UserError
from brain_tumor.images import UnreadableImageError, read_gray

log = logging.getLogger(__name__)
Mask = NDArray[np.bool_]
Pixels = Annotated[float, Field(ge=-100_000, le=100_000, allow_inf_nan=False)]
STEP = 3  # degrees between the corners that stand for an ellipse


class Polygon(BaseModel):
    """A closed polygon by its corners; a polyline is closed too."""

    name: Literal["polygon", "polyline"]
    all_points_x: list[Pixels] = Field(min_length=1, max_length=100_000)
    all_points_y: list[Pixels]

    @model_validator(mode="after")
    def _pairs(self) -> "Polygon":
        if len(self.all_points_x) != len(self.all_points_y):
            raise ValueError("as many x as y are needed")
        return self

    def corners(self) -> list[tuple[float, float]]:
        """The corners (x, y) in pixels."""
        return list(zip(self.all_points_x, self.all_points_y, strict=True))


class Rectangle(BaseModel):
    """An upright rectangle."""

    name: Literal["rect"]
    x: Pixels
    y: Pixels
    width: Pixels
    height: Pixels

    def corners(self) -> list[tuple[float, float]]:
        """The corners (x, y) in pixels."""
        # The last pixel inside, not the first outside.
        right, bottom = self.x + max(self.width - 1, 0), self.y + max(self.height - 1, 0)
        return [(self.x, self.y), (right, self.y), (right, bottom), (self.x, bottom)]


class Circle(BaseModel):
    """A circle."""

    name: Literal["circle"]
    cx: Pixels
    cy: Pixels
    r: Pixels

    def corners(self) -> list[tuple[float, float]]:
        """Points on it, (x, y) in pixels."""
        return _around(self.cx, self.cy, self.r, self.r, 0.0)


class Ellipse(BaseModel):
    """An ellipse, turned clockwise by `theta` (radians)."""

    name: Literal["ellipse"]
    cx: Pixels
    cy: Pixels
    rx: Pixels
    ry: Pixels
    theta: Pixels = 0.0

    def corners(self) -> list[tuple[float, float]]:
        """Points on it, (x, y) in pixels."""
        return _around(self.cx, self.cy, self.rx, self.ry, self.theta)


Shape = Annotated[Polygon | Rectangle | Circle | Ellipse, Field(discriminator="name")]


class _Region(BaseModel):
    shape_attributes: Shape | None

    @field_validator("shape_attributes", mode="before")
    @classmethod
    def _without_area(cls, given: Any) -> Any:
        """Points, and regions without a shape, cover nothing."""
        return None if given == {} or (isinstance(given, dict) and given.get("name") == "point") else given


class _Annotated(BaseModel):
    filename: str
    size: int = -1  # of the file, in bytes; the annotator writes -1 where it does not know
    regions: list[_Region] | dict[str, _Region] = Field(default_factory=list)

    def shapes(self) -> list[Shape]:
        found = self.regions.values() if isinstance(self.regions, dict) else self.regions
        return [region.shape_attributes for region in found if region.shape_attributes is not None]


class Drawn:
    """The shapes of an annotation file of the VGG Image Annotator (VIA, versions 1 and 2), by file name.

    Source of the format: the JSON that VIA exports, or its project file with `_via_img_metadata`.

    Raises:
        UserError: no such JSON, or shapes of one file name in several entries; `where` is named.
    """

    def __init__(self, content: bytes, where: str) -> None:
        self._where = where
        try:
            known = TypeAdapter(dict[str, object]).validate_json(content)
            entries = TypeAdapter(dict[str, _Annotated]).validate_python(known.get("_via_img_metadata", known))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            place = ".".join(map(str, first["loc"])) or "the whole file"
            raise UserError(f"{where} is no annotation file of VIA: {place}: {first['msg']}") from None
        self._entries: dict[str, _Annotated] = {}
        for entry in entries.values():
            if entry.shapes() and entry.filename in self._entries:
                raise UserError(f"{where} has several entries for {entry.filename}: which one counts?")
            if entry.shapes():
                self._entries[entry.filename] = entry

    def add_to(self, images: Iterable[RawImage]) -> Iterator[RawImage]:
        """Give each image whose file name has shapes a mask of them, and a box around each.

        A file of another size in bytes than the one that was drawn on stays without, and so does one that cannot
        be read, with a word in the log.
        """
        used: dict[str, str] = {}
        without: list[str] = []
        for image in images:
            name = PurePosixPath(image.path).name
            entry = self._entries.get(name)
            if entry is None:
                yield image
                continue
            if name in used:
                raise UserError(f"{self._where}: {name} may be {used[name]} or {image.path}: file names must differ")
            used[name] = image.path
            same = entry.size in (-1, len(image.content))
            drawn = with_shapes(image, entry.shapes()) if same else image
            if drawn.mask is None:
                without.append(image.path)
            yield drawn
        if without:
            more = f" and {len(without) - 1} more" if len(without) > 1 else ""
            words = "%s: %s%s left without a mask: not the file that was drawn on, unreadable, or drawn on outside"
            log.warning(words, self._where, without[0], more)
        if missing := sorted(self._entries.keys() - used.keys()):
            log.warning(
                "%s: %d of %d files with shapes are not among the images (%s, …)",
                self._where, len(missing), len(self._entries), missing[0],
            )  # fmt: skip


def with_shapes(image: RawImage, shapes: Iterable[Shape]) -> RawImage:
    """Return the image with a mask of the shapes, and their boxes; as it is if it cannot be read."""
    try:
        size = read_gray(image.content).shape
    except UnreadableImageError:  # the audit will list it
        return image
    whole, boxes = np.zeros(size, np.bool_), []
    for shape in shapes:
        mask = filled(shape, size)
        whole |= mask
        boxes.append(bounds(mask))
    if not whole.any():
        return image
    return image._replace(mask=encode_mask(whole), box=";".join(sorted(filter(None, boxes))))


def filled(shape: Shape, size: tuple[int, ...]) -> Mask:
    """The pixels of an (H, W) image within a shape, its outline included."""
    canvas = np.zeros(size, np.uint8)
    corners = np.rint(np.array(shape.corners())).astype(np.int32)
    cv2.fillPoly(canvas, [corners], 255)
    mask: Mask = canvas > 0
    return mask


def bounds(mask: Mask) -> str:
    """Return the box around a mask as `left top width height` in pixels, or '' if the mask is empty."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return ""
    return f"{columns[0]} {rows[0]} {columns[-1] - columns[0] + 1} {rows[-1] - rows[0] + 1}"


def _around(cx: float, cy: float, rx: float, ry: float, theta: float) -> list[tuple[float, float]]:
    angles = np.deg2rad(np.arange(0, 360, STEP))
    x, y = rx * np.cos(angles), ry * np.sin(angles)
    turned = zip(cx + x * np.cos(theta) - y * np.sin(theta), cy + x * np.sin(theta) + y * np.cos(theta), strict=True)
    return [(float(a), float(b)) for a, b in turned]
