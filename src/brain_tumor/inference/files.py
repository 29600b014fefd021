"""Files as gray images: ordinary images, DICOM files and NIfTI volumes."""

import os
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from PIL import Image

from brain_tumor.core.types import Gray
from brain_tumor.imaging.decode import decode_gray
from brain_tumor.imaging.formats import (
    DICOM_HEADER_BYTES,
    IMAGE_SUFFIXES,
    is_dicom,
    is_hidden,
    is_image_name,
    is_nifti_name,
)
from brain_tumor.local_files import walk_files

MAX_FILE_BYTES = 512 * 2**20
NO_IMAGE = f"contains no image (known suffixes: {', '.join(IMAGE_SUFFIXES)})"
VOLUME_LOCK = Lock()  # a volume may take gigabytes: one at a time


class GrayImage(NamedTuple):
    """A gray image (H, W) from a file, or the reason why it could not be read."""

    file: str
    gray: Gray | None
    error: str = ""


def find_files(paths: Iterable[Path]) -> list[Path]:
    """List the files among the paths, and the images in the folders among them, sorted within each folder.

    Hidden paths below a folder are left out, see `is_hidden`. Files without an image suffix count if their content is
    DICOM. A folder without images, an unreadable folder and a path that does not exist are listed themselves:
    `read_images` reports the reason.
    """
    files: list[Path] = []
    for path in paths:
        errors: list[OSError] = []
        inside = [file for file in walk_files(path, errors.append) if _is_image(file, path)]
        unreadable = [Path(error.filename) for error in errors]
        files += sorted(inside + [folder for folder in unreadable if folder.is_dir()]) or [path]
    return files


def _is_image(file: Path, folder: Path) -> bool:
    """Return whether a file below the folder is an image; the folder itself may be hidden."""
    if not file.is_file() or is_hidden(file.relative_to(folder).as_posix()):  # macOS adds a hidden file to each file
        return False
    if is_image_name(file.name):
        return True
    try:
        with file.open("rb") as content:  # DICOM files are often named by a number with dots
            return is_dicom(content.read(DICOM_HEADER_BYTES))
    except OSError:
        return True  # its kind is unknown: it is listed, and reported as unreadable


def read_images(path: Path, plane: str = "axial", count: int = 5) -> list[GrayImage]:
    """Read a file as gray images; an error is returned, never raised.

    Args:
        path: path of an ordinary image, a DICOM file or a NIfTI volume.
        plane: axial, coronal or sagittal, of volumes.
        count: number of slices taken from a volume, 1 or more.

    Returns:
        One image, the frames of the DICOM file, or the slices of the volume; one with an error if it is unreadable.
    """
    name = str(path)
    try:
        if path.is_dir():
            readable = os.access(path, os.R_OK | os.X_OK)
            return [GrayImage(name, None, NO_IMAGE if readable else "this folder cannot be read (permissions)")]
        if not path.exists():
            return [GrayImage(name, None, "does not exist")]
        if not path.is_file() and str(path) != "/dev/stdin":
            return [GrayImage(name, None, "not a regular file")]  # reading a pipe or a device might never end
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            return [GrayImage(name, None, f"larger than {MAX_FILE_BYTES // 2**20} MiB")]
        if is_dicom(content) or is_nifti_name(path.name):
            with VOLUME_LOCK:
                return _read_dicom_or_nifti(name, content, plane, count)
        return [_read_raster(name, content)]
    except Exception as error:  # an error in one file must not stop the others
        return [GrayImage(name, None, str(error) or type(error).__name__)]


def _read_raster(name: str, content: bytes) -> GrayImage:
    gray = decode_gray(content)
    with Image.open(BytesIO(content)) as image:
        count = getattr(image, "n_frames", 1)
    # Taking the first of several would be an arbitrary choice.
    if count > 1:
        return GrayImage(name, None, f"contains {count} images: save each as a file of its own")
    return GrayImage(name, gray)


def _read_dicom_or_nifti(name: str, content: bytes, plane: str, count: int) -> list[GrayImage]:
    # Imported only here: these libraries take longer to load than most predictions take.
    from brain_tumor.imaging.dicom import decode_dicom
    from brain_tumor.imaging.nifti import decode_nifti, parse_plane, take_slices

    if is_dicom(content):
        frames = decode_dicom(content).frames
        names = [name] if len(frames) == 1 else [f"{name}.{n:03d}" for n in range(len(frames))]
        return [GrayImage(*pair) for pair in zip(names, frames, strict=True)]
    slices = take_slices(decode_nifti(content), parse_plane(plane), count)
    return [GrayImage(f"{name}.{plane}-{one.position:03d}", one.gray) for one in slices]
