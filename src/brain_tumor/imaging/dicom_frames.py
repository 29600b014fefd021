"""What the header of a DICOM file says about each of its frames: rescaling, window, orientation and pixel size."""

import math
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pydicom
from pydicom.pixels.processing import apply_modality_lut, apply_voi

from brain_tumor.core.types import Floats
from brain_tumor.imaging.volumes import Plane

MOSAIC_COUNT = (0x0019, 0x100A)  # private element of Siemens: number of slices in a mosaic
NORMAL_PLANES: tuple[Plane, ...] = ("sagittal", "coronal", "axial")  # by the axis x, y, z of the slice's normal
MIN_NORMAL = math.cos(math.radians(30))  # slices that are tilted more have no plane


class Frame(NamedTuple):
    """The parts of a header that hold for one frame.

    Attributes:
        rescale: dataset with RescaleSlope and RescaleIntercept, or a modality LUT.
        window: dataset with a window or a VOI LUT.
        orientation: dataset with ImageOrientationPatient.
        measures: dataset with PixelSpacing.
    """

    rescale: pydicom.Dataset
    window: pydicom.Dataset
    orientation: pydicom.Dataset
    measures: pydicom.Dataset


def read_frame(data: pydicom.Dataset, number: int) -> Frame:
    """Collect what the header says about a frame.

    In enhanced multi-frame files, the functional groups of the frame and, without them, those that all frames share
    replace the header's own elements (DICOM PS3.3, C.7.6.16).
    """
    per_frame = data.get("PerFrameFunctionalGroupsSequence") or []
    groups = [*(per_frame[number : number + 1]), *(data.get("SharedFunctionalGroupsSequence") or [])[:1]]

    def find(name: str) -> pydicom.Dataset:
        return next((group[name].value[0] for group in groups if group.get(name)), data)

    return Frame(
        find("PixelValueTransformationSequence"),
        find("FrameVOILUTSequence"),
        find("PlaneOrientationSequence"),
        find("PixelMeasuresSequence"),
    )


def rescale_values(pixels: Floats, frame: Frame) -> Floats:
    """Apply the modality LUT, or slope and intercept, to the stored values of a frame, of any shape."""
    if frame.rescale.get("ModalityLUTSequence"):
        return np.asarray(apply_modality_lut(pixels.astype(np.int64), frame.rescale), np.float64)
    slope, intercept = (next(read_numbers(frame.rescale, f"Rescale{name}"), None) for name in ("Slope", "Intercept"))
    if slope is None and intercept is None:
        return pixels
    return pixels * (1.0 if slope is None else slope) + (intercept or 0.0)


def apply_window(values: Floats, window: pydicom.Dataset) -> Floats | None:
    """Scale values of any shape to 0 to 1 by the first window of a frame; None if it has no window.

    Source: DICOM PS3.3, C.11.2.1 (lookup table, LINEAR, LINEAR_EXACT, SIGMOID).
    """
    if window.get("VOILUTSequence"):
        bits = int(window.VOILUTSequence[0].LUTDescriptor[2])
        levels: Floats = np.asarray(apply_voi(values.astype(np.int64), window, index=0), np.float64)
        return levels / float(2**bits - 1)
    center, width = (next(read_numbers(window, name), None) for name in ("WindowCenter", "WindowWidth"))
    if center is None or width is None or width <= 0:
        return None
    function = str(window.get("VOILUTFunction") or "LINEAR")
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp((-4 * (values - center) / width).clip(-700, 700))))
    if function == "LINEAR":
        center, width = center - 0.5, max(width - 1, 1e-9)
    return np.asarray(np.clip((values - center) / width + 0.5, 0, 1))


def read_plane(frame: Frame) -> Plane | None:
    """Return the plane that the normal of a frame is closest to, None if it is unknown or oblique."""
    cosines = list(read_numbers(frame.orientation, "ImageOrientationPatient"))
    if len(cosines) != 6:
        return None
    normal = np.abs(np.cross(cosines[:3], cosines[3:]))
    axis = int(normal.argmax())
    return NORMAL_PLANES[axis] if normal[axis] >= MIN_NORMAL * max(float(np.linalg.norm(normal)), 1e-9) else None


def read_spacing(frame: Frame) -> tuple[float, float]:
    """Return the distances between rows and between columns in mm, or their ratio where no distance is stated."""
    for name in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
        numbers = list(read_numbers(frame.measures, name))
        if len(numbers) == 2 and min(numbers) > 0:
            return numbers[0], numbers[1]
    return 1.0, 1.0


def count_mosaic_tiles(data: pydicom.Dataset) -> int:
    """Return the number of slices in a mosaic of Siemens, 0 if the file is not a mosaic.

    Raises:
        ValueError: a mosaic whose number of slices is not stated.
    """
    if "MOSAIC" not in (data.get("ImageType") or []):
        return 0
    count = data[MOSAIC_COUNT].value if MOSAIC_COUNT in data else _mosaic_count_in_csa_header(data)
    if isinstance(count, bytes):
        count = int.from_bytes(count[:2], "little")
    if not isinstance(count, int) or count < 1:
        raise ValueError("a mosaic of Siemens that does not state its number of slices: export the slices singly")
    return count


def _mosaic_count_in_csa_header(data: pydicom.Dataset) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it announces that its other readers are experimental
        from nibabel.nicom import csareader
    header = csareader.get_csa_header(data, "image")
    return None if header is None else csareader.get_n_mosaic(header)


def split_mosaic(pixels: Floats, count: int) -> Floats:
    """Split a mosaic (H, W) into its slices (N, h, w), which fill a square grid row by row.

    Raises:
        ValueError: the size is not a multiple of the grid's.
    """
    side = math.ceil(math.sqrt(count))
    height, width = pixels.shape
    if height % side or width % side:
        raise ValueError(f"a mosaic of {count} slices whose size, {width}×{height}, is not a multiple of {side}")
    tiles = pixels.reshape(side, height // side, side, width // side).swapaxes(1, 2)
    return tiles.reshape(-1, height // side, width // side)[:count]


def read_numbers(data: pydicom.Dataset, name: str) -> Iterator[float]:
    """Yield the numbers of an element; a comma is read as decimal point, and what is no number ends the list."""
    try:
        value = data.get(name)
    except (ValueError, TypeError):  # not numbers as DICOM writes them
        raw = data.get_item(name)
        value = raw.value if raw is not None else None
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if isinstance(value, str):
        value = value.split("\\")
    if value is None or value == "":
        return
    for number in value if isinstance(value, (list, tuple, pydicom.multival.MultiValue)) else [value]:
        try:
            parsed = float(str(number).strip(" \0").replace(",", "."))
        except ValueError:
            return
        if not math.isfinite(parsed):
            return
        yield parsed
