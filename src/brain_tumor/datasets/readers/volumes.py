"""DICOM files, volumes and files with several pages among the images of a source, as PNG images with their masks."""

import functools
import hashlib
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from pydantic import Field

from brain_tumor.core.errors import UserError
from brain_tumor.core.params import Block
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.imaging.boxes import clip_boxes, scale_boxes
from brain_tumor.imaging.decode import NoImageError
from brain_tumor.imaging.encode import encode_image, encode_mask
from brain_tumor.imaging.image_files import ImageFile, MaskError, needs_conversion, read_image_file
from brain_tumor.imaging.volumes import Plane

log = logging.getLogger(__name__)
# IDs that programs write for every patient whose name they remove, in lower case.
PLACEHOLDER_IDS = (
    *("anonymous", "anonymized", "anonymised", "anonym", "anon", "unknown", "none", "null", "n/a", "na", "no name"),
    *("noname", "no id", "noid", "test", "patient", "pat", "deidentified", "de-identified", "removed", "xxx"),
    *("0" * length for length in range(1, 17)),
)


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


class OnlyPatient(NamedTuple):
    """A patient that the headers of DICOM files name, and that may stand for several.

    Attributes:
        patient: digest of the patient's id.
        files: number of the files.
        images: number of the images in them.
        is_only: whether no image has another patient; if not, the id is one of PLACEHOLDER_IDS.
    """

    patient: str
    files: int
    images: int
    is_only: bool = True


class _Patients:
    """Counts the files of the patients that headers name."""

    def __init__(self) -> None:
        self._images: defaultdict[str, Counter[str]] = defaultdict(Counter)  # by patient and file
        self._has_others = False

    def add(self, image: RawImage, converted: RawImage) -> None:
        """Count one image of a file."""
        # Without a patient in the source and in the header, the path names the patient.
        if image.patient or converted.patient == image.path:
            self._has_others = True
        elif converted.patient:
            self._images[converted.patient][image.path] += 1

    def find_only(self) -> OnlyPatient | None:
        """Return the only patient, or the one with a placeholder as id (of several ones, all together)."""
        is_only = len(self._images) == 1 and not self._has_others
        found = [patient for patient in self._images if is_only or patient in _placeholder_digests()]
        if not found:
            return None
        largest = max(found, key=lambda patient: len(self._images[patient]))
        files = sum(len(self._images[patient]) for patient in found)
        return OnlyPatient(largest, files, sum(self._images[patient].total() for patient in found), is_only)


@functools.cache
def _placeholder_digests() -> frozenset[str]:
    """Return the digests that `imaging.dicom` makes of PLACEHOLDER_IDS in their usual spellings."""
    spellings = {way(name) for name in PLACEHOLDER_IDS for way in (str.lower, str.upper, str.capitalize, str.title)}
    return frozenset(hashlib.sha256(name.encode()).hexdigest()[:12] for name in spellings)


def expand_medical_formats(
    images: Iterable[RawImage],
    volumes: Volumes,
    skipped: SkippedFiles,
    patient_from_header: bool = True,
    on_only_patient: Callable[[OnlyPatient], None] = lambda found: None,
    names: Collection[str] = (),
) -> Iterator[RawImage]:
    """Yield images, with all but ordinary ones converted to PNG images, and all masks to PNG.

    A corrupted file is yielded unchanged and without its mask, and a warning is logged; the audit lists it as
    unreadable. Files without pixels, and those of a kind that is not supported, go to `skipped`. Warnings of the
    headers are logged, each once per file. Each image is converted before the next one is read.

    Args:
        images: files of any format.
        volumes: which slices of volumes become images.
        skipped: collects files that are not images.
        patient_from_header: take the patient of a DICOM file from its header where the source itself names none.
        on_only_patient: called after the last image if all images with a patient have the same one, from headers, or
            if headers name a placeholder as the patient.
        names: all files of the source. A converted image whose path is that of another one gets " (converted)" at the
            end of it.

    Raises:
        UserError: a mask that cannot be read, or whose size or number of images is not that of its image.
    """
    patients, taken = _Patients(), set(names)
    for image in images:
        for converted in _expand(image, volumes, skipped, patient_from_header):
            patients.add(image, converted)
            path = converted.path if converted.path == image.path else find_free_path(converted.path, taken)
            taken.add(path)
            yield converted._replace(path=path)
    if found := patients.find_only():
        on_only_patient(found)


def find_free_path(path: str, taken: Collection[str]) -> str:
    """Return the path of a converted image, with " (converted)" at its end as often as needed to be none of `taken`."""
    while path in taken:
        path += " (converted)"
    return path


def _expand(image: RawImage, volumes: Volumes, skipped: SkippedFiles, patient_from_header: bool) -> Iterator[RawImage]:
    """Yield the images of one file, see `expand_medical_formats`."""
    ordinary = not needs_conversion(image.content, image.path)
    if ordinary and image.mask is None:
        yield image
        return
    try:
        file = read_image_file(image.content, image.path, volumes.plane, volumes.count, image.mask)
    except NoImageError as error:
        skipped.add(image.path, str(error))
        return
    except MaskError as error:
        raise UserError(str(error)) from None
    except Exception as error:  # these libraries raise almost any exception on broken input
        reason = str(error) or type(error).__name__
        log.warning("%s cannot be read (%s); the audit will list it", image.path, reason)
        yield image._replace(mask=None)
        return
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
        box = "" if file.is_volume else scale_boxes(image.box, *part.zoom)
        inside = clip_boxes(box, part.gray.shape[1], part.gray.shape[0])
        if inside != box:
            log.warning("%s: boxes outside the image were cut off or left out: %s", image.path, image.box)
        yield image._replace(
            path=f"{image.path}{part.suffix}.png",
            content=encode_image(part.gray),
            plane=image.plane or part.plane,
            mask=None if mask is None else encode_mask(mask),
            box=inside,
        )
