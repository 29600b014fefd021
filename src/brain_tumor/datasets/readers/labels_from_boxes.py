"""Labels of images from the boxes that were drawn in them: the rules of the sources roboflow, voc and yolo."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, field_validator

from brain_tumor.core.errors import UserError
from brain_tumor.core.params import Block
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.files import Files, normalize_name
from brain_tumor.datasets.readers.image_counts import ImageCounts
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.imaging.boxes import TumorBox, format_boxes
from brain_tumor.imaging.formats import HEAD_BYTES, identify
from brain_tumor.imaging.image_size import read_size
from brain_tumor.parallel import progress

MAX_BOX_PIXELS = 100_000  # a box with a larger number is not one
CLIP_TOLERANCE = 1e-5  # of the image's width or height: how far rounding may move a box outside

Name = Annotated[str, Field(min_length=1)]
Size = tuple[float, float]  # width and height
FRACTIONS: Size = (1.0, 1.0)  # size of an image in boxes whose numbers are fractions of its width and height
# Reasons why an image is skipped.
UNMAPPED = "only boxes of categories without a label"
UNUSABLE = "only boxes outside the image, without area or with impossible numbers"
NO_BOXES = "no boxes, and `background` is ''"


class BoxRules(Block):
    """How boxes become labels; base class of the parameters of such sources.

    Attributes:
        labels: maps names of categories to labels; boxes of other categories are ignored.
        background: label of images without boxes; '' ignores these images.
        splits: maps names of folders to published splits ('' for none); other folders are ignored.
    """

    labels: dict[str, Name] = Field(min_length=1)
    background: str
    splits: dict[Name, Literal["", "train", "test"]]

    @field_validator("labels", mode="after")
    @classmethod
    def _normalize_names(cls, labels: dict[str, str]) -> dict[str, str]:
        normalized = {normalize_name(name): label for name, label in labels.items()}
        if len(normalized) < len(labels):
            raise ValueError("two names of categories differ only in blanks around them or in Unicode's form")
        return normalized

    def require_categories(self, existing: set[str], source: str) -> None:
        """Raise a UserError if `labels` has a category that the annotations do not have."""
        if unknown := sorted(self.labels.keys() - existing):
            raise UserError(
                f"{source} has no category {unknown[0]!r}, which `labels` names (it has {sorted(existing)})"
            )


class CategoryBox(NamedTuple):
    """A box as an annotation file states it, and the normalized name of its category; any numbers."""

    category: str
    left: float
    top: float
    width: float
    height: float


class BoxedImage(NamedTuple):
    """What the annotations say about one image.

    Attributes:
        split: its published split, '' for none.
        boxes: its boxes, in pixels or in fractions of the image.
        size: width and height in the unit of the boxes: pixels as the annotations state them (None if they do not), or
            FRACTIONS.
    """

    split: str
    boxes: list[CategoryBox]
    size: Size | None = None


def label_images(
    files: Files, annotated: Mapping[str, BoxedImage], rules: BoxRules, skipped: SkippedFiles
) -> Iterator[RawImage]:
    """Yield the images that get a label, sorted by path, with their boxes in whole pixels.

    The label of an image is that of the category with the largest total box area in it (of equal ones, the first by
    name). Parts of a box outside the image are cut off. A box without area inside it, and one whose numbers are not
    finite or exceed MAX_BOX_PIXELS, is left out. An image without boxes has the label `background`. One that has only
    boxes which were left out, or whose categories have no label, is not known to be background, and is skipped.

    An image whose size is not the one that the annotations state has its label, but no boxes. A corrupted image stays
    an image, for the audit to list.

    Args:
        files: the archive or folder.
        annotated: the images to read, by their names in `files`.
        rules: parameters of the source.
        skipped: receives every file of `annotated` that is not yielded, and the files that `files` itself leaves out.

    Raises:
        UserError: a file that cannot be read, or no image has a label.
    """
    for path, reason in files.left_out().items():
        skipped.add(path, reason)
    counts, labeled = ImageCounts(), 0
    for path, boxed in progress(sorted(annotated.items()), f"reading {files.path.name}", len(annotated), "file"):
        content = files.read(path)
        kind, reason, _ = identify(content[:HEAD_BYTES], path)
        if kind != "raster":
            skipped.add(path, reason or f"an image ({kind}) other than PNG, JPEG and the like, which boxes need")
            continue
        actual = read_size(content)
        inside = _clip_boxes(boxed.boxes, _bounds(boxed.size, actual), path, counts)
        mapped = [box for box in inside if box.category in rules.labels]
        counts.add("boxes of categories without a label, ignored", path, len(inside) - len(mapped))
        if mapped:
            label = rules.labels[main_category(mapped)]
        elif boxed.boxes or not rules.background:
            skipped.add(path, UNMAPPED if inside else UNUSABLE if boxed.boxes else NO_BOXES)
            continue
        else:
            counts.add(f"images without boxes, labeled {rules.background}", path)
            label = rules.background
        labeled += 1
        box = _format_pixels(mapped, boxed.size, actual, path, counts)
        yield RawImage(path, content, label, boxed.split, box=box)
    counts.log_all(files.path.name)
    if not labeled:
        raise UserError(f"{files.path} has no image with a label: check `labels`, `background` and `splits`")


def main_category(boxes: Iterable[CategoryBox]) -> str:
    """Return the category with the largest total box area, overlaps counted twice; of equal ones the first by name."""
    areas: defaultdict[str, list[float]] = defaultdict(list)
    for box in boxes:
        areas[box.category].append(box.width * box.height)
    # fsum is exact, so the order of the boxes does not matter.
    return min(areas, key=lambda name: (-math.fsum(areas[name]), name))


def clip_box(box: CategoryBox, size: Size) -> CategoryBox | None:
    """Cut off the parts of a box outside an image.

    Args:
        box: any numbers.
        size: width and height of the image in the unit of the box.

    Returns:
        The box itself if no part is outside, by more than rounding explains; None if it has no area inside, or a number
        that is not finite or exceeds MAX_BOX_PIXELS.
    """
    if not all(abs(number) <= MAX_BOX_PIXELS for number in box[1:]):  # false for NaN as well
        return None
    left, right = max(box.left, 0.0), min(box.left + box.width, size[0])
    top, bottom = max(box.top, 0.0), min(box.top + box.height, size[1])
    if right <= left or bottom <= top:
        return None
    cut = (left - box.left, box.left + box.width - right), (top - box.top, box.top + box.height - bottom)
    if all(max(both) <= CLIP_TOLERANCE * length for both, length in zip(cut, size, strict=True)):
        return box
    return CategoryBox(box.category, left, top, right - left, bottom - top)


def round_box(box: CategoryBox, size: Size) -> TumorBox:
    """Round a box inside an image of `size` pixels to whole pixels of it; each side has at least one."""
    left, top = (max(0, min(round(start), int(length) - 1)) for start, length in zip(box[1:3], size, strict=True))
    width, height = (
        max(1, min(round(side), int(length) - start))
        for side, length, start in zip(box[3:], size, (left, top), strict=True)
    )
    return left, top, width, height


def plausible_size(width: object, height: object) -> Size | None:
    """Return a size in pixels that annotations state, None if it is not one: missing, 0, 1, or text."""
    numbers = [value for value in (width, height) if isinstance(value, int | float) and 2 <= value <= MAX_BOX_PIXELS]
    return (float(numbers[0]), float(numbers[1])) if len(numbers) == 2 else None


def _bounds(stated: Size | None, actual: Size | None) -> Size:
    """Return the size of the image in the unit of its boxes; of two different sizes the larger one."""
    if stated == FRACTIONS:
        return FRACTIONS
    sizes = [size for size in (stated, actual) if size] or [(MAX_BOX_PIXELS, MAX_BOX_PIXELS)]
    return max(width for width, _ in sizes), max(height for _, height in sizes)


def _clip_boxes(boxes: Iterable[CategoryBox], size: Size, path: str, counts: ImageCounts) -> list[CategoryBox]:
    result = []
    for box in boxes:
        clipped = clip_box(box, size)
        if clipped is None:
            counts.add("boxes outside the image, without area or with impossible numbers, left out", path)
            continue
        counts.add("boxes partly outside the image, clipped", path, int(clipped is not box))
        result.append(clipped)
    return result


def _format_pixels(
    boxes: Iterable[CategoryBox], stated: Size | None, actual: Size | None, path: str, counts: ImageCounts
) -> str:
    """Format boxes in whole pixels of the image, '' if its pixels are not those that the boxes count."""
    boxes = list(boxes)
    size = actual or stated or (MAX_BOX_PIXELS, MAX_BOX_PIXELS)
    if stated == FRACTIONS:
        if actual is None:
            return ""
        boxes = [scale_box(box, *actual) for box in boxes]
    elif boxes and stated and actual and stated != actual:
        counts.add("images of another size than the annotations state, boxes left out", path)
        return ""
    return format_boxes(round_box(box, size) for box in boxes)


def scale_box(box: CategoryBox, horizontal: float, vertical: float) -> CategoryBox:
    """Multiply the numbers of a box by one factor for each axis."""
    return CategoryBox(
        box.category, box.left * horizontal, box.top * vertical, box.width * horizontal, box.height * vertical
    )
