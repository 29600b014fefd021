"""Reading a COCO export in the layout of Roboflow: one folder per split, each with its images and one JSON file."""

import logging
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.zip_archive import ZipFiles
from brain_tumor.imaging.boxes import TumorBox, format_boxes
from brain_tumor.parallel import progress

log = logging.getLogger(__name__)

ANNOTATIONS = "_annotations.coco.json"
MAX_BOX_PIXELS = 100_000  # limit for each number of a box

Pixels = Annotated[float, Field(ge=0, le=MAX_BOX_PIXELS, allow_inf_nan=False)]


class CategoryBox(NamedTuple):
    """A box and the name of its category; the numbers are in pixels, from 0 to MAX_BOX_PIXELS."""

    category: str
    left: float
    top: float
    width: float
    height: float


class _Part(BaseModel):
    """A part of a COCO file; fields that are not listed are ignored."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class _Category(_Part):
    id: int
    name: str


class _Image(_Part):
    id: int
    file_name: str


class _Annotation(_Part):
    image_id: int
    category_id: int
    bbox: tuple[Pixels, Pixels, Pixels, Pixels]


class _Annotations(_Part):
    categories: list[_Category]
    images: list[_Image]
    annotations: list[_Annotation]


class FolderAnnotations(NamedTuple):
    """Content of the JSON file of one folder.

    Attributes:
        categories: names of all categories.
        boxes: boxes of each image, by its file name.
    """

    categories: set[str]
    boxes: dict[str, list[CategoryBox]]


def read_export(
    path: Path, splits: Mapping[str, str], labels: Mapping[str, str], background: str
) -> Iterator[RawImage]:
    """Yield the images of an export that have a label, sorted by path; nothing is extracted to disk.

    Args:
        path: path of the zip archive.
        splits: published split of each folder ('' for none); other folders are ignored.
        labels: label of each category; boxes of other categories are ignored.
        background: label of images without boxes; '' ignores them.

    Raises:
        UserError: an unsafe, corrupted or inconsistent export; the message names the archive and the member.
    """
    with ZipFiles(path) as files:
        yield from _assign_labels(files, splits, labels, background)


def _assign_labels(
    files: ZipFiles, splits: Mapping[str, str], labels: Mapping[str, str], background: str
) -> Iterator[RawImage]:
    folders = _read_annotations(files, splits, labels)
    counts: Counter[str] = Counter()
    label = ""
    for image, boxes in _read_listed_images(files, splits, folders, counts):
        mapped = [box for box in boxes if box.category in labels]
        counts["boxes of categories without a label, ignored"] += len(boxes) - len(mapped)
        if mapped:
            label = labels[main_category(mapped)]
            yield image._replace(label=label, box=format_boxes(map(round_box, mapped)))
        elif boxes:
            counts["images with only such boxes, ignored"] += 1
        elif background:
            counts[f"images without boxes, labeled {background}"] += 1
            label = background
            yield image._replace(label=label)
        else:
            counts["images without boxes, ignored"] += 1
    if not label:
        raise UserError(f"{files.path} has no image with a label: check `labels` and `background`")
    for description, count in counts.items():
        if count:
            log.info("%s: %s: %d", files.path.name, description, count)


def main_category(boxes: Iterable[CategoryBox]) -> str:
    """Return the category with the largest total box area, overlaps counted twice; of equal ones the first by name."""
    areas: defaultdict[str, list[float]] = defaultdict(list)
    for box in boxes:
        areas[box.category].append(box.width * box.height)
    # fsum is exact, so the order of the boxes does not matter.
    return min(areas, key=lambda name: (-math.fsum(areas[name]), name))


def round_box(box: CategoryBox) -> TumorBox:
    """Round a box to whole pixels; each side has at least one pixel."""
    return round(box.left), round(box.top), max(1, round(box.width)), max(1, round(box.height))


def parse_annotations(content: bytes, source: str) -> FolderAnnotations:
    """Parse the JSON file of a folder.

    Args:
        content: content of the file.
        source: name of the file in messages.

    Raises:
        UserError: not a COCO file, duplicate names or ids, an unsafe file name, or a reference to an unknown id.
    """
    try:
        document = _Annotations.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        key = ".".join(map(str, first["loc"])) or "the whole file"
        raise UserError(f"{source} is not COCO in the format of Roboflow: {key}: {first['msg']}") from None
    categories = {category.id: category.name for category in document.categories}
    files = {image.id: image.file_name for image in document.images}
    _reject_duplicates((str(category.id) for category in document.categories), "category", source)
    _reject_duplicates((str(image.id) for image in document.images), "image", source)
    _reject_duplicates(files.values(), "file", source)
    for name in files.values():
        if name in ("", ".", "..", ANNOTATIONS) or any(char in "/\\" or ord(char) < 32 for char in name):
            raise UserError(f"{source}: {name!r} is not the name of an image file: rejected")
    boxes: dict[str, list[CategoryBox]] = {name: [] for name in files.values()}
    for number, annotation in enumerate(document.annotations):
        if annotation.image_id not in files:
            raise UserError(f"{source}: annotations.{number} has an unknown image, {annotation.image_id}")
        if annotation.category_id not in categories:
            raise UserError(f"{source}: annotations.{number} has an unknown category, {annotation.category_id}")
        box = CategoryBox(categories[annotation.category_id], *annotation.bbox)
        boxes[files[annotation.image_id]].append(box)
    return FolderAnnotations(set(categories.values()), boxes)


def _read_annotations(
    files: ZipFiles, splits: Mapping[str, str], labels: Mapping[str, str]
) -> dict[str, FolderAnnotations]:
    """Read the JSON files of all folders; raises a UserError if `labels` has a category that none of them has."""
    existing = set(files.names())
    names = {split: f"{split}/{ANNOTATIONS}" for split in sorted(splits)}
    folders = {
        split: parse_annotations(files.read(name), f"{files.path}: {name}")
        for split, name in names.items()
        if name in existing
    }
    if not folders:
        raise UserError(f"{files.path} has no {ANNOTATIONS} in a folder {', '.join(names)}: export it as COCO")
    for name in sorted(splits.keys() - folders.keys()):
        log.warning("%s has no folder %s", files.path.name, name)
    categories = sorted({name for folder in folders.values() for name in folder.categories})
    if unknown := sorted(labels.keys() - set(categories)):
        raise UserError(f"{files.path} has no category {unknown[0]!r}, which `labels` names (it has {categories})")
    return folders


def _read_listed_images(
    files: ZipFiles, splits: Mapping[str, str], folders: Mapping[str, FolderAnnotations], counts: Counter[str]
) -> Iterator[tuple[RawImage, list[CategoryBox]]]:
    """Yield each listed image, without its label, and its boxes; every listed file must exist."""
    listed = {f"{folder}/{name}": boxes for folder, content in folders.items() for name, boxes in content.boxes.items()}
    for path in files.names():
        folder, _, name = path.partition("/")
        if folder in splits and "/" not in name and path not in listed and name != ANNOTATIONS:
            if folder not in folders:
                raise UserError(f"{files.path}: {folder} has {name}, but no {ANNOTATIONS}: export it again as COCO")
            counts[f"files that are not listed in {ANNOTATIONS}, ignored"] += 1
    if missing := sorted(listed.keys() - set(files.names())):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(f"{files.path}: {missing[0]}{more} is listed, but not in the archive: export it again")
    for path, boxes in progress(sorted(listed.items()), f"reading {files.path.name}", len(listed), "file"):
        yield RawImage(path, files.read(path), "", splits[path.partition("/")[0]]), boxes


def _reject_duplicates(names: Iterable[str], kind: str, source: str) -> None:
    name, count = next(iter(Counter(names).most_common(1)), ("", 0))
    if count > 1:
        raise UserError(f"{source} lists {kind} {name!r} {count} times")
