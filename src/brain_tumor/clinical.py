"""Clinical formats as 8-bit PNG slices: DICOM files and NIfTI volumes; every rule is stated here.

Only pixels, sex, age and a digest of the patient's id go on: names and dates in the headers do not.
"""

import gzip
import hashlib
import io
import logging
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import nibabel
import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from brain_tumor.archive import RawImage
from brain_tumor.encoding import encode, encode_mask
from brain_tumor.params import Block

log = logging.getLogger(__name__)
MAX_VALUES = 512 * 512 * 1024  # of one file: pixels or voxels
AXES = {"sagittal": 0, "coronal": 1, "axial": 2}


class Volumes(Block):
    """Which slices of a volume become images: `count` of one `plane`, evenly spaced over the part that counts.

    That part are the slices in which the tumor's mask, or without one what is brighter than the volume's mean,
    covers at least half as much as in the slice where it covers most.
    """

    plane: Literal["axial", "coronal", "sagittal"] = "axial"
    count: int = Field(5, ge=1)


def expand(images: Iterable[RawImage], volumes: Volumes) -> Iterator[RawImage]:
    """Pass images on; turn DICOM files and NIfTI volumes among them into PNG slices.

    A file that claims to be one of these and cannot be read is passed on as it is, with a word in the log: the
    audit lists it as unreadable.
    """
    for image in images:
        try:
            if image.content[128:132] == b"DICM":
                yield from dicom_slices(image)
            elif image.path.lower().endswith((".nii", ".nii.gz")):
                yield from volume_slices(image, volumes)
            else:
                yield image
        except Exception as error:  # these libraries raise nearly anything on broken input
            log.warning(
                "%s cannot be read (%s); the audit will list it", image.path, str(error) or type(error).__name__
            )
            yield image


def dicom_slices(image: RawImage) -> list[RawImage]:
    """The frames of a DICOM file, (H, W) uint8 each.

    Modality rescale, then the file's own window (its first), or without one the 0.5th to 99.8th percentile;
    MONOCHROME1 is inverted. Patient (a digest), sex and age in years come from the header where the source
    itself says nothing.
    """
    data = pydicom.dcmread(io.BytesIO(image.content))
    size = int(data.Rows) * int(data.Columns) * int(data.get("NumberOfFrames", 1) or 1)
    if size > MAX_VALUES:
        raise ValueError(f"{size:,} pixels, more than {MAX_VALUES:,}")
    pixels = np.asarray(data.pixel_array)
    if int(data.get("SamplesPerPixel", 1)) == 3:
        frames = pixels if pixels.ndim == 4 else pixels[None]
        grays = [np.asarray(Image.fromarray(frame.astype(np.uint8)).convert("L")) for frame in frames]
    else:
        values = np.asarray(apply_modality_lut(pixels, data), np.float64)
        windowed = "WindowWidth" in data or "VOILUTSequence" in data
        values = np.asarray(apply_voi_lut(values, data, index=0), np.float64) if windowed else clip(values)
        if data.PhotometricInterpretation == "MONOCHROME1":
            values = -values
        grays = list(to_bytes(values if values.ndim == 3 else values[None]))
    # A digest keeps slices of one patient together without saying who it is.
    patient = hashlib.sha256(str(data.PatientID).encode()).hexdigest()[:12] if data.get("PatientID") else ""
    sex, age = str(data.get("PatientSex") or ""), re.fullmatch(r"0*(\d+)Y", str(data.get("PatientAge") or ""))
    said = image._replace(
        patient=image.patient or patient,
        sex=image.sex or (sex if sex in ("F", "M", "O") else ""),
        age=image.age or (age[1] if age else ""),
    )
    names = [f"{image.path}.png"] if len(grays) == 1 else [f"{image.path}.{n:03d}.png" for n in range(len(grays))]
    return [said._replace(path=name, content=encode(gray)) for name, gray in zip(names, grays, strict=True)]


def volume_slices(image: RawImage, volumes: Volumes) -> list[RawImage]:
    """Slices of a NIfTI volume, as `volumes` says, with those of its mask if it has one.

    The volume is brought to the axes of the body nearest to its own; slices are shown with the front (axial)
    or the top (coronal, sagittal) up and the patient's right at the left. The 0.5th to 99.8th percentile of
    the whole volume become 0 to 255. Slices of a volume are of one patient: its path, if none is named.
    """
    axis = AXES[volumes.plane]
    values = _read_volume(image.content)
    mask = None if image.mask is None else _read_volume(image.mask) > 0
    if mask is not None and mask.shape != values.shape:
        raise ValueError(f"the mask has the shape {mask.shape}, the volume {values.shape}")
    counted = mask if mask is not None and mask.any() else values > values.mean()
    area = counted.sum(tuple(k for k in range(3) if k != axis))
    inside = np.flatnonzero(area >= area.max() / 2)
    chosen = np.unique(inside[np.linspace(0, len(inside) - 1, volumes.count).round().astype(int)])
    grays = to_bytes(clip(values))
    result = []
    for number in chosen.tolist():
        shown = None if mask is None else _upright(mask, axis, number)
        result.append(
            image._replace(
                path=f"{image.path}.{volumes.plane}-{number:03d}.png",
                content=encode(_upright(grays, axis, number)),
                plane=volumes.plane,
                patient=image.patient or image.path,
                mask=encode_mask(shown) if shown is not None and shown.any() else None,
            )
        )
    return result


def clip(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Clip to the 0.5th and the 99.8th percentile."""
    return np.clip(values, *np.percentile(values, (0.5, 99.8)))


def to_bytes(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Scale so that the least value becomes 0 and the greatest 255."""
    low, high = float(values.min()), float(values.max())
    if not np.isfinite((low, high)).all():
        raise ValueError("values that are not finite")
    return np.rint((values - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)


def _read_volume(content: bytes) -> NDArray[np.float64]:
    """A three-dimensional NIfTI file, its axes growing to the right, the front and the top of the body (RAS+)."""
    if content[:2] == b"\x1f\x8b":
        content = _unzipped(content)
    volume: Any = nibabel.Nifti1Image.from_bytes(content)
    if len(volume.shape) != 3 or not 0 < int(np.prod(volume.shape, dtype=np.int64)) <= MAX_VALUES:
        raise ValueError(f"the shape {volume.shape} is no volume of at most {MAX_VALUES:,} voxels")
    return np.asarray(nibabel.as_closest_canonical(volume).dataobj, np.float64)


def _unzipped(content: bytes) -> bytes:
    """Decompress gzip, no more than the largest volume allowed takes."""
    most = MAX_VALUES * 8 + 2**20
    with gzip.open(io.BytesIO(content)) as file:
        try:
            plain = file.read(most + 1)
        except (EOFError, zlib.error, OSError) as error:
            raise ValueError(f"damaged gzip data ({error})") from None
    if len(plain) > most:
        raise ValueError("unpacks to more than the largest volume allowed")
    return plain


def _upright(volume: NDArray[Any], axis: int, number: int) -> NDArray[Any]:
    """One slice of a volume in RAS+ as it is looked at."""
    # Up is the front or the top; the patient's right stands at the left, and a face in profile looks left.
    upright: NDArray[Any] = np.take(volume, number, axis).T[::-1, ::-1]
    return upright
