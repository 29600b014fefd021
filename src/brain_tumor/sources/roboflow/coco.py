"""Reading a COCO export as Roboflow packs it: a folder a split, each with its images and one JSON file."""

import logging
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from brain_tumor.archive import RawImage
from brain_tumor.errors import UserError
from brain_tumor.parallel import progress
from brain_tumor.zips import ZipFiles

log = logging.getLogger(__name__)

ANNOTATIONS = "_annotations.coco.json"
LONGEST = 100_000  # pixels; no image is larger, so no number of a box is

Pixels = Annotated[float, Field(ge=0, le=LONGEST, allow_inf_nan=False)]


class Box(NamedTuple):
    """A box and its category's name; the numbers are in pixels, from 0 to `LONGEST`."""

    category: str
    left: float
    top: float
    width: float
    height: float


class _Part(BaseModel):
    """A part of a COCO file; what it has beyond these fields is of no use here."""

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


class Folder(NamedTuple):
    """What one folder's JSON file says: the names of all categories, and the boxes of each image by file name."""

    categories: set[str]
    boxes: dict[str, list[Box]]


def read(path: Path, splits: Mapping[str, str], labels: Mapping[str, str], background: str) -> Iterator[RawImage]:
    """Yield the images of the export at `path` that get a label, sorted by path; nothing is unpacked to disk.

    Args:
        path: the zip archive.
        splits: the folders that count, and the published split of each ('' for none).
        labels: the label of each category; boxes of others are ignored.
        background: the label of images without boxes; '' leaves them out.

    Raises:
        UserError: anything unsafe, damaged or contradictory; it names the archive and the member.
    """
    with ZipFiles(path) as files:
        yield from _labeled(files, splits, labels, background)


def _labeled(
    files: ZipFiles, splits: Mapping[str, str], labels: Mapping[str, str], background: str
) -> Iterator[RawImage]:
    folders = _folders(files, splits, labels)
    counts: Counter[str] = Counter()
    label = ""
    for image, boxes in _listed(files, splits, folders, counts):
        mapped = [box for box in boxes if box.category in labels]
        counts["boxes of categories without a label, ignored"] += len(boxes) - len(mapped)
        if mapped:
            label = labels[main_category(mapped)]
            yield image._replace(label=label, box=as_text(mapped))
        elif boxes:
            counts["images with only such boxes, left out"] += 1
        elif background:
            counts[f"images without boxes, labeled {background}"] += 1
            label = background
            yield image._replace(label=label)
        else:
            counts["images without boxes, left out"] += 1
    if not label:
        raise UserError(f"{files.place} holds no image that gets a label: check `labels` and `background`")
    for what, count in counts.items():
        if count:
            log.info("%s: %s: %d", files.place.name, what, count)


def main_category(boxes: Iterable[Box]) -> str:
    """The category with the largest total area, overlaps counted twice; of equal ones the first by name."""
    areas: defaultdict[str, list[float]] = defaultdict(list)
    for box in boxes:
        areas[box.category].append(box.width * box.height)
    # An exact sum does not depend on the order of the boxes.
    return min(areas, key=lambda name: (-math.fsum(areas[name]), name))


def as_text(boxes: Iterable[Box]) -> str:
    """Boxes as the index holds them, in whole pixels and sorted; a side has at least one pixel."""
    whole = sorted(
        (round(box.left), round(box.top), max(1, round(box.width)), max(1, round(box.height))) for box in boxes
    )
    return ";".join(" ".join(map(str, numbers)) for numbers in whole)


def parse(content: bytes, where: str) -> Folder:
    """Read one JSON file; `where` names it in errors."""
    try:
        found = _Annotations.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"])) or "the whole file"
        raise UserError(f"{where} is not COCO as Roboflow writes it: {place}: {first['msg']}") from None
    names = {category.id: category.name for category in found.categories}
    files = {image.id: image.file_name for image in found.images}
    _refuse_repeated((str(category.id) for category in found.categories), "category", where)
    _refuse_repeated((str(image.id) for image in found.images), "image", where)
    _refuse_repeated(files.values(), "file", where)
    for name in files.values():
        if name in ("", ".", "..", ANNOTATIONS) or any(sign in "/\\" or ord(sign) < 32 for sign in name):
            raise UserError(f"{where}: {name!r} is no name of an image file: refused")
    boxes: dict[str, list[Box]] = {name: [] for name in files.values()}
    for number, annotation in enumerate(found.annotations):
        if annotation.image_id not in files:
            raise UserError(f"{where}: annotations.{number} is of an unknown image, {annotation.image_id}")
        if annotation.category_id not in names:
            raise UserError(f"{where}: annotations.{number} is of an unknown category, {annotation.category_id}")
        boxes[files[annotation.image_id]].append(Box(names[annotation.category_id], *annotation.bbox))
    return Folder(set(names.values()), boxes)


def _folders(files: ZipFiles, splits: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, Folder]:
    """Read the JSON files of all folders; a label for a category that none of them has is an error."""
    there = set(files.names())
    names = {split: f"{split}/{ANNOTATIONS}" for split in sorted(splits)}
    folders = {
        split: parse(files.read(name), f"{files.place}: {name}") for split, name in names.items() if name in there
    }
    if not folders:
        raise UserError(f"{files.place} holds no {ANNOTATIONS} in a folder {', '.join(names)}: export it as COCO")
    for name in sorted(splits.keys() - folders.keys()):
        log.warning("%s has no folder %s", files.place.name, name)
    known = {name for folder in folders.values() for name in folder.categories}
    if unknown := sorted(labels.keys() - known):
        raise UserError(f"{files.place} has no category {unknown[0]!r}, which `labels` names (it has {sorted(known)})")
    return folders


def _listed(
    files: ZipFiles, splits: Mapping[str, str], folders: Mapping[str, Folder], counts: Counter[str]
) -> Iterator[tuple[RawImage, list[Box]]]:
    """Yield each listed image, without its label, and its boxes; every listed file must be there."""
    listed = {f"{folder}/{name}": boxes for folder, said in folders.items() for name, boxes in said.boxes.items()}
    for path in files.names():
        folder, _, name = path.partition("/")
        if folder in splits and "/" not in name and path not in listed and name != ANNOTATIONS:
            if folder not in folders:
                raise UserError(f"{files.place}: {folder} holds {name}, but no {ANNOTATIONS}: export it again as COCO")
            counts[f"files that no {ANNOTATIONS} lists, left out"] += 1
    if missing := sorted(listed.keys() - set(files.names())):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(f"{files.place}: {missing[0]}{more} is listed, but not in the archive: export it again")
    for path, boxes in progress(sorted(listed.items()), f"reading {files.place.name}", len(listed), "file"):
        yield RawImage(path, files.read(path), "", splits[path.partition("/")[0]]), boxes


def _refuse_repeated(names: Iterable[str], kind: str, where: str) -> None:
    name, count = next(iter(Counter(names).most_common(1)), ("", 0))
    if count > 1:
        raise UserError(f"{where} lists {kind} {name!r} {count} times")
