"""DICOM files, volumes and files with several pages among the images of a source, as PNG images with their masks."""

import logging
from collections.abc import Iterable, Iterator

from pydantic import Field

from brain_tumor.core.errors import UserError
from brain_tumor.core.params import Block
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.imaging.boxes import scale_boxes
from brain_tumor.imaging.dicom import NoImageError
from brain_tumor.imaging.encode import encode_image, encode_mask
from brain_tumor.imaging.image_files import ImageFile, MaskError, needs_conversion, read_image_file
from brain_tumor.imaging.volumes import Plane

log = logging.getLogger(__name__)


class Volumes(Block):
    """Selection of the slices of a volume that become images.

    They are evenly spaced over the range in which the tumor's mask or, without a mask, the head covers at least half
    its maximum area in a slice.

    Attributes:
        plane: orientation of the slices.
        count: maximum number of slices per volume.
    """

    plane: Plane = "axial"
    count: int = Field(5, ge=1)


def expand_medical_formats(
    images: Iterable[RawImage], volumes: Volumes, skipped: SkippedFiles, patient_from_header: bool = True
) -> Iterator[RawImage]:
    """Yield images, with all but ordinary ones converted to PNG images, and all masks to PNG.

    A file that cannot be read is yielded unchanged and without its mask, and a warning is logged; the audit lists it as
    unreadable. DICOM files without pixels go to `skipped`. Warnings of the headers are logged, each once per file.

    Args:
        images: files of any format.
        volumes: which slices of volumes become images.
        skipped: collects files that are not images.
        patient_from_header: take the patient of a DICOM file from its header where the source itself names none.

    Raises:
        UserError: a mask that cannot be read, or whose size or number of images is not that of its image.
    """
    for image in images:
        ordinary = not needs_conversion(image.content, image.path)
        if ordinary and image.mask is None:
            yield image
            continue
        try:
            file = read_image_file(image.content, image.path, volumes.plane, volumes.count, image.mask)
        except NoImageError as error:
            skipped.add(image.path, str(error))
            continue
        except MaskError as error:
            raise UserError(str(error)) from None
        except Exception as error:  # these libraries raise almost any exception on broken input
            reason = str(error) or type(error).__name__
            log.warning("%s cannot be read (%s); the audit will list it", image.path, reason)
            yield image._replace(mask=None)
            continue
        for warning in file.warnings:
            log.warning("%s: %s", image.path, warning)
        if ordinary:
            (part,) = file.parts
            yield image._replace(mask=None if part.mask is None else encode_mask(part.mask))
        else:
            yield from _convert(image, file if patient_from_header else file._replace(patient=""))


def _convert(image: RawImage, file: ImageFile) -> Iterator[RawImage]:
    """Yield the images of a file as PNG.

    Patient, sex and age are read from the header where the source itself has none. All images of one file belong to
    one patient, identified by the path of the file if nothing names one. Boxes of volumes are dropped: they may have
    been drawn in another plane.
    """
    patient = image.patient or file.patient or (image.path if len(file.parts) > 1 or file.is_volume else "")
    image = image._replace(patient=patient, sex=image.sex or file.sex, age=image.age or file.age)
    for part in file.parts:
        mask = part.mask if part.mask is not None and (part.mask.any() or not file.is_volume) else None
        yield image._replace(
            path=f"{image.path}{part.suffix}.png",
            content=encode_image(part.gray),
            plane=image.plane or part.plane,
            mask=None if mask is None else encode_mask(mask),
            box="" if file.is_volume else scale_boxes(image.box, *part.zoom),
        )
