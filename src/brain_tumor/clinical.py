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
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi

from brain_tumor.archive import RawImage
from brain_tumor.encoding import encode, encode_mask
from brain_tumor.errors import UserError
from brain_tumor.images import read_gray
from brain_tumor.params import Block

log = logging.getLogger(__name__)
MAX_VALUES = 512 * 512 * 512  # of one file: pixels or voxels; about 4 GiB while they are windowed
DEFLATED = b"1.2.840.10008.1.2.1.99"
AXES = {"sagittal": 0, "coronal": 1, "axial": 2}


class Volumes(Block):
    """Which slices of a volume become images: `count` of one `plane`, evenly spaced over the part that counts.

    That part are the slices in which the tumor's mask, or without one what is brighter than the volume's mean,
    covers at least half as much as in the slice where it covers most.
    """

    plane: Literal["axial", "coronal", "sagittal"] = "axial"
    count: int = Field(5, ge=1)


def expand(images: Iterable[RawImage], volumes: Volumes) -> Iterator[RawImage]:
    """Pass images on; turn DICOM files and NIfTI volumes among them into PNG slices, and masks likewise.

    A file that claims to be one of these and cannot be read is passed on as it is, with a word in the log: the
    audit lists it as unreadable.

    Raises:
        UserError: a mask that cannot be read, or has another size than its image.
    """
    for image in images:
        try:
            if is_dicom(image.content):
                yield from dicom_slices(image)
            elif image.path.lower().endswith((".nii", ".nii.gz")):
                yield from volume_slices(image, volumes)
            elif image.mask is None:
                yield image
            else:
                yield image._replace(mask=_masks(image, [read_gray(image.content)])[0])
        except UserError:
            raise
        except Exception as error:  # these libraries raise nearly anything on broken input
            log.warning(
                "%s cannot be read (%s); the audit will list it", image.path, str(error) or type(error).__name__
            )
            yield image._replace(mask=None)


def is_dicom(content: bytes) -> bool:
    """Whether the bytes are those of a DICOM file."""
    return content[128:132] == b"DICM"


def dicom_slices(image: RawImage) -> list[RawImage]:
    """The frames of a DICOM file, (H, W) uint8 each, with those of its mask if it has one.

    Modality rescale, then the file's own window (its first), or without one the 0.5th to 99.8th percentile;
    MONOCHROME1 is inverted. Color becomes luma. Patient (a digest), sex and age in years come from the header
    where the source itself says nothing.
    """
    data = _read_dicom(image.content)
    grays = _gray_frames(data)
    masks = [None] * len(grays) if image.mask is None else _masks(image, grays)
    # A digest keeps slices of one patient together without saying who it is.
    patient = hashlib.sha256(str(data.PatientID).encode()).hexdigest()[:12] if data.get("PatientID") else ""
    sex, age = str(data.get("PatientSex") or ""), re.fullmatch(r"0*(\d+)Y", str(data.get("PatientAge") or ""))
    said = image._replace(
        patient=image.patient or patient,
        sex=image.sex or (sex if sex in ("F", "M", "O") else ""),
        age=image.age or (age[1] if age else ""),
    )
    names = [f"{image.path}.png"] if len(grays) == 1 else [f"{image.path}.{n:03d}.png" for n in range(len(grays))]
    return [
        said._replace(path=name, content=encode(gray), mask=mask)
        for name, gray, mask in zip(names, grays, masks, strict=True)
    ]


def _read_dicom(content: bytes) -> pydicom.Dataset:
    if DEFLATED in content[:2048]:  # it would be unpacked whole before anything can be checked
        raise ValueError("a deflated DICOM file, which this project does not read")
    data = pydicom.dcmread(io.BytesIO(content))
    if missing := [tag for tag in ("Rows", "Columns") if tag not in data]:
        raise ValueError(f"a DICOM file without an image: it has no {' and no '.join(missing)}")
    size = int(data.Rows) * int(data.Columns) * int(data.get("NumberOfFrames", 1) or 1)
    if size > MAX_VALUES:
        raise ValueError(f"{size:,} pixels, more than {MAX_VALUES:,}")
    return data


def _gray_frames(data: pydicom.Dataset) -> list[NDArray[np.uint8]]:
    pixels = np.asarray(data.pixel_array)
    if data.PhotometricInterpretation == "PALETTE COLOR":
        pixels = np.asarray(apply_color_lut(pixels, data))
        depth = 8 * pixels.itemsize
    else:
        depth = int(data.BitsStored)
    if data.PhotometricInterpretation == "PALETTE COLOR" or int(data.get("SamplesPerPixel", 1)) == 3:
        colors = pixels if pixels.ndim == 4 else pixels[None]
        bright = (colors.astype(np.uint32) >> max(0, depth - 8)).clip(0, 255).astype(np.uint8)
        return [np.asarray(Image.fromarray(frame).convert("L")) for frame in bright]
    values = np.asarray(apply_modality_lut(pixels, data), np.float64)
    shares = windowed(values, data)
    if data.PhotometricInterpretation == "MONOCHROME1":
        shares = 1 - shares
    return list(np.rint(255 * (shares if shares.ndim == 3 else shares[None])).astype(np.uint8))


def windowed(values: NDArray[np.float64], data: pydicom.Dataset) -> NDArray[np.float64]:
    """Bring values to 0 to 1 by the first window of a DICOM file, or without one by their percentiles.

    Source of the functions: DICOM PS3.3, C.11.2.1 (lookup table, LINEAR, LINEAR_EXACT, SIGMOID).
    """
    if data.get("VOILUTSequence"):
        depth = int(data.VOILUTSequence[0].LUTDescriptor[2])
        levels: NDArray[np.float64] = np.asarray(apply_voi(values.astype(np.int64), data, index=0), np.float64)
        return levels / float(2**depth - 1)
    center, width = (_first(data.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if center is None or width is None or width <= 0:
        return to_unit(clip(values))
    kind = str(data.get("VOILUTFunction") or "LINEAR")
    if kind == "SIGMOID":
        return np.asarray(1 / (1 + np.exp((-4 * (values - center) / width).clip(-700, 700))))
    if kind == "LINEAR":
        center, width = center - 0.5, max(width - 1, 1e-9)
    return np.asarray(np.clip((values - center) / width + 0.5, 0, 1))


def _first(value: Any) -> float | None:
    """The first of the numbers that a DICOM element holds; None if it is empty."""
    found = value if isinstance(value, (str, float, int)) or value is None else next(iter(value), None)
    return None if found is None or found == "" else float(found)


def _masks(image: RawImage, grays: list[NDArray[np.uint8]]) -> list[bytes]:
    """A mask for each frame of an image, as PNG files; bright is inside."""
    content = image.mask or b""
    try:
        if is_dicom(content):
            pixels = np.asarray(_read_dicom(content).pixel_array)
            found = list((pixels if pixels.ndim == 3 else pixels[None]) > 0)
        else:
            gray = read_gray(content)
            found = [gray > gray.max() / 2]  # some are of 0 and 1, some of 0 and 255, and JPEG blurs both
    except Exception as error:  # whatever a decoder makes of it
        raise UserError(f"the mask of {image.path} cannot be read: {str(error) or type(error).__name__}") from None
    if len(found) != len(grays):
        raise UserError(f"{image.path} has {len(grays)} frames, and its mask {len(found)}: which is whose?")
    for mask, gray in zip(found, grays, strict=True):
        if mask.shape != gray.shape:
            sizes = "{1}×{0} pixels, its mask {3}×{2}".format(*gray.shape, *mask.shape)
            raise UserError(f"{image.path} has {sizes}: they must be of one size")
    return [encode_mask(mask) for mask in found]


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
    grays = np.rint(255 * to_unit(clip(values))).astype(np.uint8)
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
                box="",  # of a plane that is not this one
            )
        )
    return result


def clip(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Clip to the 0.5th and the 99.8th percentile."""
    return np.clip(values, *np.percentile(values, (0.5, 99.8)))


def to_unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale so that the least value becomes 0 and the greatest 1."""
    low, high = float(values.min()), float(values.max())
    if not np.isfinite((low, high)).all():
        raise ValueError("values that are not finite")
    return (values - low) / max(high - low, 1e-9)


def _read_volume(content: bytes) -> NDArray[np.float64]:
    """A three-dimensional NIfTI file, its axes growing to the right, the front and the top of the body (RAS+)."""
    if content[:2] == b"\x1f\x8b":
        content = _unzipped(content)
    volume: Any = nibabel.Nifti1Image.from_bytes(content)
    if len(volume.shape) != 3 or not 0 < int(np.prod(volume.shape, dtype=np.int64)) <= MAX_VALUES:
        raise ValueError(f"the shape {volume.shape} is no volume of at most {MAX_VALUES:,} voxels")
    if volume.get_data_dtype().kind not in "biuf":
        raise ValueError(f"voxels of the type {volume.get_data_dtype()}, which are no gray levels")
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
