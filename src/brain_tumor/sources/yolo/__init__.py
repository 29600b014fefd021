"""A YOLO data set of the user, as Ultralytics, Roboflow and Label Studio write it: a folder or an archive.

Images lie in a folder `images`, their boxes in a folder `labels` beside it: the boxes of `train/images/a.png` in
`train/labels/a.txt`, those of `images/train/a.png` in `labels/train/a.txt`. Without such folders, `a.txt` beside
`a.png` has its boxes. `data.yaml` names the classes; the paths in it are not used. How boxes become labels is described
in `brain_tumor.datasets.readers.labels_from_boxes`.

Names of images and text files are compared without case, without blanks around them, and with composed letters (NFC).

An image whose text file is empty or missing has no boxes, as Ultralytics reads it. A split where no image has a text
file is an error, since its images are not known to be background.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.boxed_files import OUTSIDE_SPLITS, BoxedFiles, read_limited, skip_other_file
from brain_tumor.datasets.readers.files import Files, normalize_name
from brain_tumor.datasets.readers.labels_from_boxes import FRACTIONS, BoxedImage, label_images
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.imaging.formats import HEAD_BYTES, identify
from brain_tumor.sources.yolo.text_files import parse_boxes, parse_names

log = logging.getLogger(__name__)

IMAGES, BOXES = "images", "labels"  # names of folders
MAX_NAMES_BYTES = 2**16
MAX_BOXES_BYTES = 2**24  # of one image


class Source(BoxedFiles):
    """`datasets.<name>.source` for a YOLO data set: `labels` maps the names in data.yaml."""

    kind: Literal["yolo"]


def images(source: Source, scratch: Path, skipped: SkippedFiles) -> Iterator[RawImage]:
    """Yield the images that get a label, sorted by path; `scratch` is for temporary files.

    Files that are not images of the data set go to `skipped`.

    Raises:
        UserError: the folder or archive was not found, is unsafe or corrupted, or a file of it is not as YOLO defines.
    """
    with source.open(scratch) as files:
        names = files.names()
        names_file = _find_names_file(names, files.path)
        classes = parse_names(read_limited(files, names_file, MAX_NAMES_BYTES), f"{files.path}: {names_file}")
        source.require_categories(set(classes.values()), f"{files.path}: {names_file}")
        skipped.add(names_file, "the file with the names of the classes")
        others = [name for name in names if name != names_file]
        yield from label_images(files, _list_images(files, others, classes, source, skipped), source, skipped)


def boxes_path(image: str) -> str:
    """Return the path of the text file with the boxes of an image."""
    *folders, file = image.split("/")
    for position in range(len(folders) - 1, -1, -1):
        if normalize_name(folders[position]).casefold() == IMAGES:
            folders[position] = BOXES
            break
    stem, dot, suffix = file.rpartition(".")
    return "/".join([*folders, f"{stem if dot else suffix}.txt"])


def text_key(text: str) -> str:
    """Return what the path of a text file has in common with `boxes_path` of its image, however both are written."""
    return normalize_name(normalize_name(text).rpartition(".")[0]).casefold()


def _find_names_file(names: Sequence[str], source: Path) -> str:
    """Return the YAML file in the fewest folders; of several there, data.yaml."""
    found = sorted((name.count("/"), name) for name in names if name.lower().endswith((".yaml", ".yml")))
    if not found:
        raise UserError(f"{source} has no data.yaml: add one with the names of the classes, as in `names: [glioma]`")
    candidates = [name for depth, name in found if depth == found[0][0]]
    if len(candidates) > 1:
        candidates = [name for name in candidates if name.rpartition("/")[2] in ("data.yaml", "data.yml")]
    if len(candidates) != 1:
        names_found = ", ".join(name for _, name in found[:3])
        raise UserError(f"{source} has several YAML files ({names_found}): name the one with the classes data.yaml")
    return candidates[0]


def _list_images(
    files: Files, names: Sequence[str], classes: dict[int, str], source: Source, skipped: SkippedFiles
) -> dict[str, BoxedImage]:
    """Read the boxes of all images in the folders of `splits`; all files that are no such images are skipped."""
    texts = _pair_texts(files, names)
    splits = source.find_splits(texts, files.path)
    used, known = {texts[name] for name in splits} - {""}, set(texts.values())
    orphans = [name for name in names if _is_text(name) and name not in known]
    _require_boxes({name: texts[name] for name in splits}, splits, files.path)
    _reject_similar_names([name for name in sorted(splits) if not texts[name]], orphans, files.path)
    result, missing = {}, []
    for name, split in sorted(splits.items()):
        text = texts[name]
        if not text:
            missing.append(name)
        content = read_limited(files, text, MAX_BOXES_BYTES) if text else b""
        boxes = parse_boxes(content, f"{files.path}: {text}", classes)
        result[name] = BoxedImage(source.splits.get(split, ""), boxes, FRACTIONS)
    if missing:
        message = "%s: images without a text file, which have no boxes: %d (first: %s)"
        log.info(message, files.path.name, len(missing), missing[0])
    for name in sorted(set(names) - result.keys()):
        if name in used:
            skipped.add(name, "a file with boxes")
        elif name in texts or name in known:
            skipped.add(name, OUTSIDE_SPLITS)
        elif _is_text(name) and BOXES in _folders(name):
            skipped.add(name, "boxes of an image that does not exist")
        else:
            skip_other_file(files, name, f"in no folder {IMAGES}, and without a text file of its name", skipped)
    return result


def _pair_texts(files: Files, names: Sequence[str]) -> dict[str, str]:
    """Return the text file of each file that may be an image, '' if it has none.

    Raises:
        UserError: two text files for one image, or two images for one text file.
    """
    texts: defaultdict[str, list[str]] = defaultdict(list)
    images: defaultdict[str, list[str]] = defaultdict(list)
    for name in filter(_is_text, names):
        texts[text_key(name)].append(name)
    for name in names:
        key = text_key(boxes_path(name))
        if not _is_text(name) and (IMAGES in _folders(name) or key in texts):
            images[key].append(name)
    result: dict[str, str] = {}
    for key, candidates in images.items():
        found = texts.get(key, [])
        if found and len(candidates) > 1:
            candidates = [name for name in candidates if identify(files.read(name)[:HEAD_BYTES], name).kind]
        for both, other in ((found, candidates), (candidates, found)):
            if len(both) > 1 and other:
                raise UserError(
                    f"{files.path}: {both[0]} and {both[1]} both belong to {other[0]} by their names, in which case, "
                    "blanks and the suffix mean nothing: rename or remove one"
                )
        result |= {name: "".join(found) for name in images[key]}
    return result


def _require_boxes(texts: Mapping[str, str], splits: Mapping[str, str], source: Path) -> None:
    """Raise a UserError if no image of a split has a text file, or if there are no images."""
    if not texts:
        raise UserError(f"{source} has no images in folders `{IMAGES}`, as in train/{IMAGES} or {IMAGES}/train")
    annotated = {splits[name] for name, text in texts.items() if text}
    for name in sorted(texts):
        if splits[name] not in annotated:
            raise UserError(
                f"{source}: {name} and all other images of its split lack a text file with boxes, such as "
                f"{boxes_path(name)}; leave such a split out with `splits`"
            )


def _reject_similar_names(images: Sequence[str], orphans: Sequence[str], source: Path) -> None:
    """Raise a UserError for an image without a text file and a text file without an image that may belong together."""
    by_key = {"".join(text_key(name).split()): name for name in orphans}
    for image in images:
        if text := by_key.get("".join(text_key(boxes_path(image)).split())):
            raise UserError(
                f"{source}: {image} has no text file with boxes, and {text} no image: give both the same name if they "
                "belong together, or remove the text file"
            )


def _is_text(name: str) -> bool:
    return name.lower().endswith(".txt")


def _folders(name: str) -> list[str]:
    """Return the folders of a path as they are compared."""
    return normalize_name(name).casefold().split("/")[:-1]
