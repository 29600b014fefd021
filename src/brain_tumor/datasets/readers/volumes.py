"""DICOM files and NIfTI volumes among a user's files, as PNG slices with their masks."""

import logging
from collections.abc import Iterable, Iterator, Sequence

from pydantic import Field

from brain_tumor.core.errors import UserError
from brain_tumor.core.params import Block
from brain_tumor.core.types import Gray, Masks
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.imaging.decode import decode_gray
from brain_tumor.imaging.dicom import decode_dicom, decode_dicom_mask
from brain_tumor.imaging.encode import encode_image, encode_mask
from brain_tumor.imaging.formats import is_dicom, is_nifti_name
from brain_tumor.imaging.nifti import Plane, decode_nifti, take_slices

log = logging.getLogger(__name__)


class Volumes(Block):
    """Selection of the slices of a NIfTI volume that become images.

    They are evenly spaced over the range in which the tumor's mask or, without a mask, what is brighter than the
    volume's mean covers at least half its maximum area in a slice.

    Attributes:
        plane: orientation of the slices.
        count: maximum number of slices per volume.
    """

    plane: Plane = "axial"
    count: int = Field(5, ge=1)


def expand_medical_formats(images: Iterable[RawImage], volumes: Volumes) -> Iterator[RawImage]:
    """Yield images, with DICOM files and NIfTI volumes among them converted to PNG slices, and all masks to PNG.

    A DICOM or NIfTI file that cannot be read is yielded unchanged and without its mask, and a warning is logged; the
    audit lists it as unreadable.

    Raises:
        UserError: a mask that cannot be read, or whose size or number of frames is not that of its image.
    """
    for image in images:
        try:
            if is_dicom(image.content):
                yield from convert_dicom(image)
            elif is_nifti_name(image.path):
                yield from convert_volume(image, volumes)
            elif image.mask is None:
                yield image
            else:
                (mask,) = _decode_masks(image, [decode_gray(image.content)])
                yield image._replace(mask=encode_mask(mask))
        except UserError:
            raise
        except Exception as error:  # these libraries raise almost any exception on broken input
            reason = str(error) or type(error).__name__
            log.warning("%s cannot be read (%s); the audit will list it", image.path, reason)
            yield image._replace(mask=None)


def convert_dicom(image: RawImage) -> list[RawImage]:
    """Convert the frames of a DICOM file, and of its mask if it has one, to PNG images.

    Patient (a digest of the id), sex and age are read from the header where the source itself has none.
    """
    data = decode_dicom(image.content)
    count = len(data.frames)
    masks = [None] * count if image.mask is None else _decode_masks(image, data.frames)
    image = image._replace(patient=image.patient or data.patient, sex=image.sex or data.sex, age=image.age or data.age)
    names = [f"{image.path}.png"] if count == 1 else [f"{image.path}.{n:03d}.png" for n in range(count)]
    return [
        image._replace(path=name, content=encode_image(gray), mask=None if mask is None else encode_mask(mask))
        for name, gray, mask in zip(names, data.frames, masks, strict=True)
    ]


def convert_volume(image: RawImage, volumes: Volumes) -> list[RawImage]:
    """Convert slices of a NIfTI volume, and of its mask if it has one, to PNG images.

    All slices of a volume belong to one patient, identified by the path of the volume if the source names none.
    """
    values = decode_nifti(image.content)
    volume_mask = None if image.mask is None else decode_nifti(image.mask) > 0
    if volume_mask is not None and volume_mask.shape != values.shape:
        raise ValueError(f"the mask has the shape {volume_mask.shape}, the volume {values.shape}")
    return [
        image._replace(
            path=f"{image.path}.{volumes.plane}-{position:03d}.png",
            content=encode_image(gray),
            plane=volumes.plane,
            patient=image.patient or image.path,
            mask=encode_mask(mask) if mask is not None and mask.any() else None,
            box="",  # it may have been drawn in another plane
        )
        for position, gray, mask in take_slices(values, volumes.plane, volumes.count, volume_mask)
    ]


def _decode_masks(image: RawImage, grays: Sequence[Gray]) -> list[Masks]:
    """Decode the mask of an image: one mask (H, W) for each of its frames `grays`."""
    content = image.mask or b""
    try:
        if is_dicom(content):
            masks = decode_dicom_mask(content)
        else:
            gray = decode_gray(content)
            masks = [gray > gray.max() / 2]  # masks are 0 and 1 or 0 and 255, and JPEG adds values in between
    except Exception as error:  # decoders raise almost any exception on broken input
        raise UserError(f"the mask of {image.path} cannot be read: {str(error) or type(error).__name__}") from None
    if len(masks) != len(grays):
        raise UserError(f"{image.path} has {len(grays)} frames but its mask has {len(masks)}: the numbers must match")
    for mask, gray in zip(masks, grays, strict=True):
        if mask.shape != gray.shape:
            sizes = "{1}×{0} pixels, its mask {3}×{2}".format(*gray.shape, *mask.shape)
            raise UserError(f"{image.path} has {sizes}: image and mask must have the same size")
    return masks
