"""Reading a COCO export in the layout of Roboflow: one folder per split, each with its images and one JSON file."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.files import normalize_name
from brain_tumor.datasets.readers.labels_from_boxes import (
    MAX_BOX_PIXELS,
    BoxedImage,
    BoxRules,
    CategoryBox,
    Size,
    label_images,
    plausible_size,
)
from brain_tumor.datasets.readers.zip_archive import ZipFiles
from brain_tumor.datasets.skipped import SkippedFiles

log = logging.getLogger(__name__)

ANNOTATIONS = "_annotations.coco.json"


class _Part(BaseModel):
    """A part of a COCO file; fields that are not listed are ignored."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class _Category(_Part):
    id: int
    name: str


class _Image(_Part):
    id: int
    file_name: str
    width: Any = None
    height: Any = None


class _Annotation(_Part):
    image_id: int
    # These are validated where the name of the image is known.
    category_id: Any = None
    bbox: Any = None


class _Annotations(_Part):
    categories: list[_Category]
    images: list[_Image]
    annotations: list[_Annotation]


class FolderAnnotations(NamedTuple):
    """Content of the JSON file of one folder.

    Attributes:
        categories: normalized names of all categories.
        boxes: boxes of each image in pixels, by its file name; any numbers.
        sizes: width and height in pixels that the file states for an image, None if it does not.
    """

    categories: set[str]
    boxes: dict[str, list[CategoryBox]]
    sizes: dict[str, Size | None]


def read_export(path: Path, rules: BoxRules, skipped: SkippedFiles) -> Iterator[RawImage]:
    """Yield the images of an export that have a label, sorted by path; nothing is extracted to disk.

    Args:
        path: path of the zip archive.
        rules: parameters of the source.
        skipped: receives every file that is not yielded.

    Raises:
        UserError: an unsafe, corrupted or inconsistent export; the message names the archive and the member.
    """
    with ZipFiles(path) as files:
        folders = _read_annotations(files, rules)
        yield from label_images(files, _list_images(files, rules.splits, folders, skipped), rules, skipped)


def parse_annotations(content: bytes, source: str) -> FolderAnnotations:
    """Parse the JSON file of a folder.

    Args:
        content: content of the file.
        source: name of the file in messages.

    Raises:
        UserError: not a COCO file, duplicate names or ids, an unsafe file name, a reference to an unknown id, or a box
            that is not four numbers.
    """
    try:
        document = _Annotations.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        key = ".".join(map(str, first["loc"])) or "the whole file"
        raise UserError(f"{source} is not COCO in the format of Roboflow: {key}: {first['msg']}") from None
    categories = {category.id: normalize_name(category.name) for category in document.categories}
    files = {image.id: image.file_name for image in document.images}
    _reject_duplicates((str(category.id) for category in document.categories), "category", source)
    _reject_duplicates((str(image.id) for image in document.images), "image", source)
    _reject_duplicates(map(normalize_name, files.values()), "file", source)
    for name in files.values():
        if name in ("", ".", "..", ANNOTATIONS) or any(char in "/\\" or ord(char) < 32 for char in name):
            raise UserError(f"{source}: {name!r} is not the name of an image file: rejected")
    boxes: dict[str, list[CategoryBox]] = {name: [] for name in files.values()}
    for number, annotation in enumerate(document.annotations):
        if annotation.image_id not in files:
            raise UserError(f"{source}: annotations.{number} has an unknown image, {annotation.image_id}")
        name = files[annotation.image_id]
        place = f"{source}: annotations.{number} of the image {name}"
        category = categories.get(annotation.category_id) if type(annotation.category_id) is int else None
        if category is None:
            raise UserError(f"{place} has an unknown category, {annotation.category_id!r:.40}")
        boxes[name].append(CategoryBox(category, *_parse_numbers(annotation.bbox, place)))
    sizes = {image.file_name: plausible_size(image.width, image.height) for image in document.images}
    return FolderAnnotations(set(categories.values()), boxes, sizes)


def _parse_numbers(bbox: object, place: str) -> tuple[float, float, float, float]:
    """Return left, top, width and height; numbers beyond MAX_BOX_PIXELS, which no box has, become infinite."""
    numbers = bbox if isinstance(bbox, list) else []
    if len(numbers) != 4 or any(isinstance(value, bool) or not isinstance(value, int | float) for value in numbers):
        raise UserError(f"{place} has no box: bbox must be four numbers (left, top, width, height)")
    # The integers of JSON may be too large for a float.
    left, top, width, height = (float("inf") if abs(value) > MAX_BOX_PIXELS else float(value) for value in numbers)
    return left, top, width, height


def _read_annotations(files: ZipFiles, rules: BoxRules) -> dict[str, FolderAnnotations]:
    """Read the JSON files of all folders; raises a UserError if `labels` has a category that none of them has."""
    existing = set(files.names())
    names = {split: f"{split}/{ANNOTATIONS}" for split in sorted(rules.splits)}
    folders = {
        split: parse_annotations(files.read(name), f"{files.path}: {name}")
        for split, name in names.items()
        if name in existing
    }
    if not folders:
        raise UserError(f"{files.path} has no {ANNOTATIONS} in a folder {', '.join(names)}: export it as COCO")
    for name in sorted(rules.splits.keys() - folders.keys()):
        log.warning("%s has no folder %s", files.path.name, name)
    rules.require_categories({name for folder in folders.values() for name in folder.categories}, str(files.path))
    return folders


def _list_images(
    files: ZipFiles, splits: Mapping[str, str], folders: Mapping[str, FolderAnnotations], skipped: SkippedFiles
) -> dict[str, BoxedImage]:
    """Return the listed images by path; every one must exist, and all other files are skipped."""
    listed = {
        normalize_name(f"{folder}/{name}"): BoxedImage(splits[folder], boxes, content.sizes[name])
        for folder, content in folders.items()
        for name, boxes in content.boxes.items()
    }
    result: dict[str, BoxedImage] = {}
    for path in files.names():
        folder, _, name = path.partition("/")
        if boxed := listed.pop(normalize_name(path), None):
            result[path] = boxed
        elif folder not in splits:
            skipped.add(path, "in no folder that `splits` names")
        elif name == ANNOTATIONS:
            skipped.add(path, "an annotation file")
        elif folder not in folders and "/" not in name:
            raise UserError(f"{files.path}: {folder} has {name}, but no {ANNOTATIONS}: export it again as COCO")
        else:
            skipped.add(path, f"not listed in {ANNOTATIONS}")
    if missing := sorted(listed):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(f"{files.path}: {missing[0]}{more} is listed, but not in the archive: export it again")
    return result


def _reject_duplicates(names: Iterable[str], kind: str, source: str) -> None:
    name, count = next(iter(Counter(names).most_common(1)), ("", 0))
    if count > 1:
        raise UserError(f"{source} lists {kind} {name!r} {count} times")
