"""Masks of a data set's images from a zip archive of the user, searched for in the folders of DATA_ARCHIVES."""

import logging
from collections.abc import Iterable, Iterator

import numpy as np

from brain_tumor.core.errors import UserError
from brain_tumor.core.params import Block
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.zip_archive import ZipFiles
from brain_tumor.imaging.decode import UnreadableImageError, decode_gray
from brain_tumor.local_files import find_local_file

log = logging.getLogger(__name__)
MAX_NAMED = 3  # masks without an image that a message names


class TakesMasks(Block):
    """A source whose images may get masks from an archive.

    Attributes:
        masks: file name of a zip archive with masks: for an image `folder/name.jpg`, a black-and-white image
            `folder/name.png` of the same size, white inside the tumor. Images may lack one. '' for no masks.
    """

    masks: str = ""


def add_masks(images: Iterable[RawImage], archive: str) -> Iterator[RawImage]:
    """Yield the images, those with a mask in the archive with it.

    Args:
        images: the images of a source.
        archive: file name of the zip archive.

    Raises:
        UserError: an archive that is missing or has no mask of these images; a mask that cannot be read, has another
            size than its image or other values than 0 and 255, or belongs to two images or to one that has a mask.
    """
    path = find_local_file(archive)
    if path is None:
        raise UserError(
            f"{archive}, which `masks` names, was not found: put it into a folder of DATA_ARCHIVES, or set `masks` to "
            "'' to go without masks"
        )
    with ZipFiles(path) as files:
        members = {_stem(name): name for name in files.names()}
        used: set[str] = set()
        for image in images:
            name = members.get(_stem(image.path))
            if name is None:
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
    unused = sorted({*members.values()} - used)
    if not used:
        raise UserError(f"{path} has no mask of these images (it has {', '.join(unused[:MAX_NAMED])}, …)")
    log.info("%s: masks of %d images", path.name, len(used))
    if unused:
        log.warning("%s: %d masks fit no image (%s, …)", path.name, len(unused), ", ".join(unused[:MAX_NAMED]))


def _stem(path: str) -> str:
    """Return the path without the suffix of the file name."""
    folder, slash, name = path.rpartition("/")
    return folder + slash + (name.rpartition(".")[0] or name)


def _checked_mask(content: bytes, image: RawImage, name: str) -> bytes:
    """Return the bytes of a mask after comparing it with its image."""
    try:
        mask, gray = decode_gray(content), decode_gray(image.content)
    except UnreadableImageError as error:
        raise UserError(f"{name} or its image {image.path} cannot be read: {error}") from None
    if mask.shape != gray.shape:
        sizes = " and ".join(f"{width}×{height}" for height, width in (mask.shape, gray.shape))
        raise UserError(f"{name} and its image {image.path} have different sizes: {sizes}")
    if not np.isin(mask, (0, 255)).all():
        raise UserError(f"{name} has other values than 0 and 255: save it as a black-and-white image")
    return content
