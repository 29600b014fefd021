"""Masks of a data set's images from an archive of the user, searched for in the folders of DATA_ARCHIVES."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from brain_tumor.core.cli import SCRATCH
from brain_tumor.core.errors import UserError
from brain_tumor.core.params import Block
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.files import Files, normalize_name
from brain_tumor.datasets.readers.open_archive import OF_MASKS, open_archive
from brain_tumor.imaging.decode import UnreadableImageError, decode_gray, decode_mask
from brain_tumor.imaging.encode import encode_mask
from brain_tumor.imaging.formats import HEAD_BYTES, identify
from brain_tumor.local_files import find_local_file

log = logging.getLogger(__name__)
MAX_NAMED = 3  # masks without an image that a message names


class TakesMasks(Block):
    """A source whose images may get masks from an archive.

    Attributes:
        masks: file name of an archive (zip or tar) with masks: for an image `folder/name.jpg`, an image
            `folder/name.png` of the same size with values above 0 inside the tumor, see `imaging.decode.decode_mask`.
            Names are compared with composed letters (NFC) and without blanks around them. Images may lack one. '' for
            no masks.
    """

    masks: str = ""


def add_masks(images: Iterable[RawImage], archive: str, scratch: Path = SCRATCH) -> Iterator[RawImage]:
    """Yield the images, those with a mask in the archive with it.

    Args:
        images: the images of a source.
        archive: file name of the archive.
        scratch: folder for temporary files.

    Raises:
        UserError: an archive that is missing, cannot be read or has no mask of these images; a mask that cannot be
            read, has another size than its image, or belongs to two images or to one that has a mask; two masks for
            one image.
    """
    path = find_local_file(archive)
    if path is None:
        raise UserError(
            f"{archive}, which `masks` names, was not found: put it into a folder of DATA_ARCHIVES, or set `masks` to "
            "'' to go without masks"
        )
    with open_archive(path, scratch, OF_MASKS) as files:
        members: defaultdict[str, list[str]] = defaultdict(list)
        for name in files.names():
            members[_stem(name)].append(name)
        used: set[str] = set()
        for image in images:
            name = _choose_mask(files, members.get(_stem(image.path), []), image.path)
            if not name:
                yield image
                continue
            if image.mask is not None:
                raise UserError(f"{image.path} has a mask in its source, and another one in {path}")
            if name in used:
                raise UserError(
                    f"{path}: {name} fits two images, one of them {image.path}: their names differ too little"
                )
            used.add(name)
            yield image._replace(mask=_checked_mask(files.read(name), image, f"{path}: {name}"))
        unused = sorted(set(files.names()) - used)
    if not used:
        raise UserError(f"{path} has no mask of these images (it has {', '.join(unused[:MAX_NAMED])}, …)")
    log.info("%s: masks of %d images", path.name, len(used))
    if unused:
        log.warning("%s: %d masks fit no image (%s, …)", path.name, len(unused), ", ".join(unused[:MAX_NAMED]))


def _choose_mask(files: Files, names: Sequence[str], image: str) -> str:
    """Return the one file among those of an image's name that is a mask, '' if there is none."""
    if len(names) > 1:
        names = [name for name in names if identify(files.read(name)[:HEAD_BYTES], name).kind]
    if len(names) > 1:
        raise UserError(f"{files.path}: {names[0]} and {names[1]} are both masks of {image}: leave one of them")
    return names[0] if names else ""


def _stem(path: str) -> str:
    """Return the path without the suffix of the file name, normalized."""
    folder, slash, name = normalize_name(path).rpartition("/")
    return normalize_name(folder + slash + (name.rpartition(".")[0] or name))


def _checked_mask(content: bytes, image: RawImage, name: str) -> bytes:
    """Return a mask, with 0 outside and 255 inside, after comparing its size with that of its image."""
    try:
        mask, gray = decode_mask(content), decode_gray(image.content)
    except UnreadableImageError as error:
        raise UserError(f"{name} or its image {image.path} cannot be read: {error}") from None
    if mask.shape != gray.shape:
        sizes = " and ".join(f"{width}×{height}" for height, width in (mask.shape, gray.shape))
        raise UserError(f"{name} and its image {image.path} have different sizes: {sizes}")
    return encode_mask(mask)
