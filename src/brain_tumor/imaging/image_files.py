"""From an image file of any kind to gray images: the one conversion of downloads, `audit`, `predict` and the app."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from brain_tumor.core.types import Gray, Masks
from brain_tumor.imaging.decode import count_pages, decode_mask_pages, decode_pages
from brain_tumor.imaging.formats import HEAD_BYTES, Kind, identify
from brain_tumor.imaging.scaling import make_pixels_square


class ImagePart(NamedTuple):
    """One gray image of a file.

    Attributes:
        suffix: tells the parts of one file apart, as `.003` for a frame or a page, or `.axial-017` for a slice; '' if
            there is only one.
        gray: (H, W).
        mask: (H, W), None without a mask.
        plane: axial, coronal or sagittal, '' if unknown.
        zoom: enlargement of width and height that made the pixels square.
    """

    suffix: str
    gray: Gray
    mask: Masks | None = None
    plane: str = ""
    zoom: tuple[float, float] = (1.0, 1.0)


class ImageFile(NamedTuple):
    """The images of a file, and what its header says about the patient, '' where it says nothing.

    Attributes:
        parts: the images, at least one.
        is_volume: whether the images are slices of a volume.
        patient: digest of the patient's id.
        sex: F, M or O.
        age: age in years.
        warnings: reasons to distrust the images.
    """

    parts: list[ImagePart]
    is_volume: bool = False
    patient: str = ""
    sex: str = ""
    age: str = ""
    warnings: tuple[str, ...] = ()


class MaskError(ValueError):
    """The mask of an image cannot be read or does not fit it."""


def needs_conversion(content: bytes, name: str) -> bool:
    """Return whether a file is anything else than one ordinary image, which all readers decode themselves."""
    return identify(content[:HEAD_BYTES], name).kind != "raster" or count_pages(content) > 1


def read_image_file(content: bytes, name: str, plane: str, count: int, mask: bytes | None = None) -> ImageFile:
    """Decode an image file.

    Args:
        content: the file; of a NIfTI pair the joined file.
        name: its name or path.
        plane: axial, coronal or sagittal, of the slices that are taken from volumes.
        count: maximum number of slices per volume.
        mask: file with the mask of the same kind, size and number of images, None for none.

    Raises:
        NoImageError: a sound file that gives no image, such as a DICOM file without pixels.
        MaskError: the mask cannot be read or does not fit.
        ValueError: the file is not an image or cannot be read. For broken files, pydicom and nibabel raise other
            exceptions as well.
    """
    kind = identify(content[:HEAD_BYTES], name)
    if kind.kind is None:
        raise ValueError(kind.reason)
    if kind.kind == "nifti-voxels":
        raise ValueError("the voxels of a NIfTI pair without its .hdr file")
    if kind.kind in ("nifti", "itk"):
        return _read_volume(content, name, kind.kind, plane, count, mask)
    if kind.kind == "dicom":
        return _read_dicom(content, name, mask)
    grays = decode_pages(content)
    masks = _match_masks(mask, name, grays)
    parts = [ImagePart(_number(n, grays), *pair) for n, pair in enumerate(zip(grays, masks, strict=True))]
    return ImageFile(parts)


def _read_dicom(content: bytes, name: str, mask: bytes | None) -> ImageFile:
    # Imported only here, as nibabel below: these libraries take longer to load than most predictions take.
    from brain_tumor.imaging.dicom import decode_dicom

    data = decode_dicom(content)
    masks = _match_masks(mask, name, [frame.gray for frame in data.frames])
    parts = []
    for number, (frame, inside) in enumerate(zip(data.frames, masks, strict=True)):
        gray = make_pixels_square(frame.gray, *frame.spacing)
        if inside is not None:
            inside = make_pixels_square(np.where(inside, 255, 0).astype(np.uint8), *frame.spacing) > 127
        zoom = (gray.shape[1] / frame.gray.shape[1], gray.shape[0] / frame.gray.shape[0])
        parts.append(ImagePart(_number(number, data.frames), gray, inside, frame.plane, zoom))
    return ImageFile(parts, False, data.patient, data.sex, data.age, data.warnings)


def _read_volume(content: bytes, name: str, kind: Kind, plane: str, count: int, mask: bytes | None) -> ImageFile:
    from brain_tumor.imaging.volumes import parse_plane, take_slices

    volume = _decode_volume(content, kind)
    inside = None
    if mask is not None:
        try:
            mask_kind = identify(mask[:HEAD_BYTES], "").kind
            inside = np.nan_to_num(_decode_volume(mask, mask_kind or "nifti").values) > 0
        except Exception as error:  # nibabel raises almost any exception on broken input
            raise MaskError(f"the mask of {name} cannot be read: {str(error) or type(error).__name__}") from None
        if inside.shape != volume.values.shape:
            raise MaskError(f"the mask of {name} has the shape {inside.shape}, the volume {volume.values.shape}")
    checked = parse_plane(plane)
    parts = [
        ImagePart(f".{plane}-{one.position:03d}", one.gray, one.mask, plane)
        for one in take_slices(volume, checked, count, inside)
    ]
    return ImageFile(parts, True, warnings=volume.warnings)


def _decode_volume(content: bytes, kind: Kind) -> Any:
    if kind == "itk":
        from brain_tumor.imaging.itk import decode_itk

        return decode_itk(content)
    from brain_tumor.imaging.nifti import decode_nifti

    return decode_nifti(content)


def _number(position: int, parts: Sequence[object]) -> str:
    return f".{position:03d}" if len(parts) > 1 else ""


def _match_masks(content: bytes | None, name: str, grays: Sequence[Gray]) -> Sequence[Masks | None]:
    """Decode the masks (H, W) of the images of a file, None for each without a mask file.

    Raises:
        MaskError: a mask that cannot be read, another number of masks, or other sizes.
    """
    if content is None:
        return [None] * len(grays)
    try:
        if identify(content[:HEAD_BYTES], "").kind == "dicom":
            from brain_tumor.imaging.dicom import decode_dicom_mask

            masks = decode_dicom_mask(content)
        else:
            masks = decode_mask_pages(content)
    except Exception as error:  # decoders raise almost any exception on broken input
        raise MaskError(f"the mask of {name} cannot be read: {str(error) or type(error).__name__}") from None
    if len(masks) != len(grays):
        raise MaskError(f"{name} has {len(grays)} images but its mask has {len(masks)}: the numbers must match")
    for mask, gray in zip(masks, grays, strict=True):
        if mask.shape != gray.shape:
            sizes = "{1}×{0} pixels, its mask {3}×{2}".format(*gray.shape, *mask.shape)
            raise MaskError(f"{name} has {sizes}: image and mask must have the same size")
    return masks
