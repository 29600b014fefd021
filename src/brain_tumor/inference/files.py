"""Files and folders as gray images: ordinary images, DICOM files and volumes."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from brain_tumor.core.types import Gray
from brain_tumor.datasets.readers.contrasts import describe_header, find_other_of_pair, pair_masks, parse_names
from brain_tumor.imaging.formats import HEAD_BYTES, HIDDEN, identify, is_hidden
from brain_tumor.imaging.image_files import needs_conversion, read_image_file
from brain_tumor.local_files import find_problem, walk_files

MAX_FILE_BYTES = 512 * 2**20
NO_IMAGE = "contains no image"
VOLUME_LOCK = Lock()  # a volume may take gigabytes: one at a time


class GrayImage(NamedTuple):
    """A gray image (H, W) from a file, or the reason why it could not be read.

    Attributes:
        file: the file, and of several images the suffix of this one.
        gray: (H, W), None if there is an error.
        error: '' if there is none.
        warnings: reasons to distrust the image, from its header.
    """

    file: str
    gray: Gray | None
    error: str = ""
    warnings: tuple[str, ...] = ()


class FoundFiles(NamedTuple):
    """The files that paths name or contain.

    Attributes:
        images: files to read; also what cannot be read, since `read_images` reports the reason.
        skipped: the other files in folders, with the reason why each is not an image.
    """

    images: list[Path]
    skipped: list[tuple[Path, str]]


def find_files(paths: Iterable[Path]) -> FoundFiles:
    """Find the files among the paths, and the images in the folders among them, sorted within each folder.

    In folders, the content of a file decides whether it is an image, see `formats.identify`; hidden files and those
    that are named as masks, see `pair_masks`, are skipped. A folder without images, an unreadable folder, a link to
    nothing and a path that does not exist are listed among the images.
    """
    images: list[Path] = []
    skipped: list[tuple[Path, str]] = []
    for path in paths:
        errors: list[OSError] = []
        files = {file.relative_to(path).as_posix(): file for file in walk_files(path, errors.append)}
        by_lower_name = {name.lower(): name for name in files if not is_hidden(name)}
        reasons = {name: _reason_to_skip(file, name, by_lower_name) for name, file in files.items()}
        reasons |= pair_masks(parse_names([name for name, reason in reasons.items() if not reason])).reasons
        found = [file for name, file in files.items() if not reasons[name]]
        unreadable = [Path(error.filename) for error in errors]
        images += sorted(found + [folder for folder in unreadable if folder.is_dir()]) or [path]
        skipped += sorted((file, reasons[name]) for name, file in files.items() if reasons[name])
    return FoundFiles(images, skipped)


def _reason_to_skip(file: Path, name: str, names: Mapping[str, str]) -> str:
    """Return why a file in a folder is not an image, '' if it is.

    Args:
        file: the file.
        name: its path relative to the folder, which may itself be hidden.
        names: all such paths by their form in lower case.
    """
    if is_hidden(name):  # macOS adds a hidden file to each file
        return HIDDEN
    if not file.is_file():
        return "" if file.is_symlink() else "not a regular file"
    try:
        with file.open("rb") as content:
            kind, reason, _ = identify(content.read(HEAD_BYTES), file.name)
    except OSError:
        return ""  # its kind is unknown: it is listed, and reported as unreadable
    return (describe_header(name, names) or reason) if kind is None else ""


def read_images(path: Path, plane: str = "axial", count: int = 5) -> list[GrayImage]:
    """Read a file as gray images; an error is returned, never raised.

    Args:
        path: path of an ordinary image, a DICOM file or a volume.
        plane: axial, coronal or sagittal, of volumes.
        count: number of slices taken from a volume, 1 or more.

    Returns:
        One image, the pages or frames of the file, or the slices of the volume; one with an error if it is unreadable.
    """
    name = str(path)
    try:
        if problem := _find_problem(path):
            return [GrayImage(name, None, problem)]
        content = _read_limited(path)
        if identify(content[:HEAD_BYTES], path.name).kind == "nifti-voxels" and (header := _find_header(path)):
            from brain_tumor.imaging.nifti import join_nifti_pair

            content = join_nifti_pair(_read_limited(header), content)
        if not needs_conversion(content, path.name):
            return _decode(name, content, plane, count)
        with VOLUME_LOCK:
            return _decode(name, content, plane, count)
    except Exception as error:  # an error in one file must not stop the others
        return [GrayImage(name, None, str(error) or type(error).__name__)]


def _find_problem(path: Path) -> str:
    """Return why a path cannot be opened as a file, '' if it can."""
    if path.is_dir():
        readable = os.access(path, os.R_OK | os.X_OK)
        return NO_IMAGE if readable else "this folder cannot be read (permissions)"
    if not path.exists() and not path.is_symlink():
        return "does not exist"
    # Reading a pipe or a device might never end.
    return "" if str(path) == "/dev/stdin" else find_problem(path)


def _find_header(voxels: Path) -> Path | None:
    """Return the header beside an `.img` file, None if there is none."""
    names = {file.name.lower(): file.name for file in voxels.parent.iterdir()}
    header = voxels.parent / (find_other_of_pair(voxels.name, names) or voxels.name)
    return header if header != voxels and header.is_file() else None


def _read_limited(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"larger than {MAX_FILE_BYTES // 2**20} MiB")
    return content


def _decode(name: str, content: bytes, plane: str, count: int) -> list[GrayImage]:
    file = read_image_file(content, name, plane, count)
    return [GrayImage(name + part.suffix, part.gray, warnings=file.warnings) for part in file.parts]
