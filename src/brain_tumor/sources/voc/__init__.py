"""A data set of the user with boxes as Pascal VOC defines them: a folder or an archive, one XML file per image.

`a.xml` has the boxes of `a.png` in the same folder, as Roboflow exports them. It may also be in a folder `Annotations`
beside the folder `JPEGImages` or `images` of the image, as in Pascal VOC. Where no image has its name, the image that
`<filename>` names in that folder is taken. How boxes become labels is described in
`brain_tumor.datasets.readers.labels_from_boxes`.

An image whose XML file has no object has no boxes. One without an XML file is left out, since it is not known to be
background. The splits are those of the lists `ImageSets/Main/<split>.txt` if there are any, else of the folders.
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
from brain_tumor.datasets.readers.labels_from_boxes import BoxedImage, label_images
from brain_tumor.datasets.skipped import SkippedFiles, readable_path
from brain_tumor.imaging.formats import RASTER_SUFFIXES
from brain_tumor.sources.voc.xml_file import Annotation, parse_annotation

log = logging.getLogger(__name__)

ROLES = ("annotations", "jpegimages", "images")  # folders that part images and XML files, in any case
SETS = ("ImageSets", "Main")  # folders of the lists of splits
MAX_XML_BYTES = 2**22
MAX_LIST_BYTES = 2**24
Key = tuple[str, ...]  # what an image and its XML file have in common: folders other than ROLES, and the file's stem


class Source(BoxedFiles):
    """`datasets.<name>.source` for a Pascal VOC data set: `labels` maps the names of its objects.

    If there are lists `ImageSets/Main/<name>.txt` with names in `splits`, they give the splits, not the folders.
    """

    kind: Literal["voc"]


def images(source: Source, scratch: Path, skipped: SkippedFiles) -> Iterator[RawImage]:
    """Yield the images that get a label, sorted by path; `scratch` is for temporary files.

    Files that are not images of the data set go to `skipped`.

    Raises:
        UserError: the folder or archive was not found, is unsafe or corrupted, or a file of it is not as VOC defines.
    """
    with source.open(scratch) as files:
        names = files.names()
        annotations = _read_annotations(files, names)
        paired = _pair_images(files.path, names, annotations)
        categories = {box.category for annotation in annotations.values() for box in annotation.boxes}
        source.require_categories(categories, str(files.path))
        lists = _find_lists(names, source.splits)
        splits = _read_lists(files, lists, source.splits, paired) if lists else source.find_splits(paired, files.path)
        outside = f"in no list in {'/'.join(SETS)} that `splits` names" if lists else OUTSIDE_SPLITS
        used = set(paired.values())
        for name in names:
            if name in splits:
                continue
            if name in paired:
                skipped.add(name, outside)
            elif name in annotations:
                skipped.add(name, "a file with boxes" if name in used else "boxes of an image that does not exist")
            elif name in lists:
                skipped.add(name, "a list of images")
            else:
                skip_other_file(files, name, "without an XML file with boxes", skipped)
        listed = {}
        for name, split in splits.items():
            annotation = annotations[paired[name]]
            listed[name] = BoxedImage(source.splits.get(split, ""), annotation.boxes, annotation.size)
        yield from label_images(files, listed, source, skipped)


def common_key(name: str) -> Key:
    """Return what the paths of an image and of its XML file have in common."""
    *folders, file = normalize_name(name).split("/")
    stem, dot, suffix = file.rpartition(".")
    return (*(folder for folder in folders if folder.casefold() not in ROLES), stem if dot else suffix)


def _read_annotations(files: Files, names: Sequence[str]) -> dict[str, Annotation]:
    """Read all XML files that are annotations, by name."""
    result = {}
    for name in names:
        if name.lower().endswith(".xml"):
            content = read_limited(files, name, MAX_XML_BYTES)
            if (annotation := parse_annotation(content, f"{files.path}: {name}")) is not None:
                result[name] = annotation
    if not result:
        raise UserError(f"{files.path} has no XML file with boxes (`<annotation>`), as Pascal VOC defines it")
    return result


def _pair_images(source: Path, names: Sequence[str], annotations: Mapping[str, Annotation]) -> dict[str, str]:
    """Return the XML file of each image.

    Raises:
        UserError: two XML files for one image, or several images for one XML file, which `<filename>` does not decide.
    """
    images: defaultdict[Key, list[str]] = defaultdict(list)
    for name in names:
        if name not in annotations:
            images[common_key(name)].append(name)
    result: dict[str, str] = {}
    renamed = []
    without_own = []
    for xml, annotation in annotations.items():
        image = _choose_image(images.get(common_key(xml), []), xml, annotation, source)
        if not image:
            without_own.append(xml)
            continue
        _add_pair(result, image, xml, source)
        if annotation.image and common_key(annotation.image)[-1] != common_key(xml)[-1]:
            renamed.append(xml)
    for xml in without_own:
        stated = common_key(f"{xml.rpartition('/')[0]}/{annotations[xml].image}".lstrip("/"))
        image = _choose_image(images.get(stated, []), xml, annotations[xml], source) if annotations[xml].image else ""
        if image:
            _add_pair(result, image, xml, source)
    if renamed:
        message = "%s: XML files whose <filename> has another name than the image beside them: %d (first: %s)"
        log.warning(message, source.name, len(renamed), renamed[0])
    return result


def _choose_image(candidates: Sequence[str], xml: str, annotation: Annotation, source: Path) -> str:
    """Return the image among files that have the name of an XML file, '' if there is none."""
    images = [name for name in candidates if name.lower().endswith(RASTER_SUFFIXES)] or list(candidates)
    if len(images) > 1:
        stated = normalize_name(annotation.image)
        images = [name for name in images if normalize_name(name).rpartition("/")[2] == stated] or images
    if len(images) > 1:
        raise UserError(f"{source}: {xml} may belong to {images[0]} and to {images[1]}: leave one of them")
    return images[0] if images else ""


def _add_pair(pairs: dict[str, str], image: str, xml: str, source: Path) -> None:
    if image in pairs:
        raise UserError(f"{source}: {pairs[image]} and {xml} both have the boxes of {image}: leave one of them")
    pairs[image] = xml


def _find_lists(names: Sequence[str], splits: Mapping[str, str]) -> dict[str, str]:
    """Return the names of the lists of images, each with its key in `splits`."""
    lists = {}
    for name in names:
        *folders, file = name.split("/")
        if tuple(folders[-2:]) == SETS and file.endswith(".txt") and file.removesuffix(".txt") in splits:
            lists[name] = file.removesuffix(".txt")
    return lists


def _read_lists(
    files: Files, lists: Mapping[str, str], splits: Mapping[str, str], images: Mapping[str, str]
) -> dict[str, str]:
    """Return the key in `splits` of each image that a list names: one image per line, with or without its suffix.

    Raises:
        UserError: a list that is not text, or an image in lists of different published splits.
    """
    keys = {common_key(image): image for image in images}
    result: dict[str, str] = {}
    for name, split in sorted(lists.items()):
        try:
            lines = read_limited(files, name, MAX_LIST_BYTES).decode("utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise UserError(f"{files.path}: {name} is not text in UTF-8") from None
        root = tuple(normalize_name(name).split("/")[:-3])
        missing = []
        for line in filter(None, map(normalize_name, lines)):
            image = keys.get((*root, line)) or keys.get((*root, common_key(line)[-1]))
            if image is None:
                missing.append(line)
            elif splits[result.setdefault(image, split)] != splits[split]:
                raise UserError(f"{files.path}: {name} and {result[image]}.txt both list {image}, for different splits")
        if missing:
            message = "%s: %s names images that do not exist or have no XML file: %d (first: %s)"
            log.warning(message, files.path.name, name, len(missing), readable_path(missing[0]))
    return result
