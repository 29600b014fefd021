"""Reading numbered slices from zip archives of MATLAB 7.3 (HDF5) files; both formats are untrusted input."""

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from brain_tumor.core.errors import UserError
from brain_tumor.core.types import Masks
from brain_tumor.datasets.readers.zip_archive import ZipFiles
from brain_tumor.datasets.skipped import SkippedFiles

LABELS = {1: "meningioma", 2: "glioma", 3: "pituitary"}
NUM_FOLDS = 5
MAX_ARRAY_VALUES = 64_000_000
MAX_MAT_BYTES = 64 * 2**20  # a slice of the data set has about half a MiB
MAX_PATIENT_ID_LENGTH = 64  # characters
SLICE_NAME = re.compile(r"(?:[^/]+/)*([1-9][0-9]{0,5})\.mat")
INTEGER_KINDS, NUMBER_KINDS = "iu", "biuf"  # of NumPy types
REDOWNLOAD_HINT = "delete the file and download it again"


class MatlabSlice(NamedTuple):
    """Content of a MATLAB file.

    Attributes:
        image: (H, W) of integers.
        mask: (H, W), of the tumor.
        label: name of the tumor.
        patient: id of the patient.
    """

    image: NDArray[Any]
    mask: Masks
    label: str
    patient: str


class Member(NamedTuple):
    """A MATLAB file in an open archive."""

    archive: ZipFiles
    name: str

    def __str__(self) -> str:
        return f"{self.archive.path}: {self.name}"

    def read(self) -> MatlabSlice:
        """Return the slice; raises a UserError if anything is corrupted, missing, or out of range."""
        content = self.archive.read(self.name)
        try:
            return _read_slice(content)
        except _InvalidFileError as error:
            raise UserError(f"{self} cannot be used ({error}): {REDOWNLOAD_HINT}") from None


def open_archives(paths: Sequence[Path], stack: ExitStack, skipped: SkippedFiles) -> dict[int, Member]:
    """Return the members `<number>.mat` of all archives by number; the archives are closed with `stack`.

    All other members are added to `skipped`.

    Raises:
        UserError: not a zip archive, an unsafe member, or a number that occurs twice.
    """
    members: dict[int, Member] = {}
    for path in paths:
        archive = stack.enter_context(ZipFiles(path, MAX_MAT_BYTES))
        for name, reason in archive.left_out().items():
            skipped.add(f"{path.name}/{name}", reason)
        for member in (Member(archive, name) for name in archive.names()):
            if match := SLICE_NAME.fullmatch(member.name):
                first = members.setdefault(int(match[1]), member)
                if first is not member:
                    raise UserError(f"{member} occurs twice, the first time as {first}: {REDOWNLOAD_HINT}")
            else:
                skipped.add(f"{path.name}/{member.name}", "not named as a slice (<number>.mat)")
    return members


def read_folds(path: Path) -> list[int]:
    """Return the variable `cvind` of a MATLAB file: the fold, 1 to NUM_FOLDS, of each slice in the order of its number.

    Raises:
        UserError: the file cannot be read, or its content is different.
    """
    try:
        if path.stat().st_size > MAX_MAT_BYTES:
            raise _InvalidFileError(f"more than {MAX_MAT_BYTES >> 20} MiB")
        with _open_hdf5(path.read_bytes()) as file:
            folds = _read_array(file, "cvind", NUMBER_KINDS)
        if folds.size != max(folds.shape, default=0) or not np.isin(folds, range(1, NUM_FOLDS + 1)).all():
            raise _InvalidFileError(f"cvind is not a vector of fold numbers from 1 to {NUM_FOLDS}")
    except (_InvalidFileError, OSError) as error:
        raise UserError(f"{path} cannot be used ({error}): {REDOWNLOAD_HINT}") from None
    return [int(fold) for fold in folds.ravel()]


class _InvalidFileError(ValueError):
    """The content of a MATLAB file is not as expected."""


@contextmanager
def _open_hdf5(content: bytes) -> Iterator[h5py.File]:
    """Open an HDF5 file in memory; every error while it is open becomes an _InvalidFileError."""
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            yield file
    except _InvalidFileError:
        raise
    except Exception as error:  # h5py raises almost any exception on broken input
        raise _InvalidFileError(f"not a valid MATLAB 7.3 file: {str(error) or type(error).__name__}") from None


def _read_slice(content: bytes) -> MatlabSlice:
    with _open_hdf5(content) as file:
        group = _get_child(file, "cjdata", h5py.Group)
        image, mask = _read_array(group, "image", INTEGER_KINDS), _read_array(group, "tumorMask", NUMBER_KINDS)
        if image.ndim != 2 or not image.size:
            raise _InvalidFileError(f"image has the shape {image.shape}, which is not that of an image")
        if mask.shape != image.shape:
            raise _InvalidFileError(f"tumorMask has the shape {mask.shape}, but image {image.shape}")
        return MatlabSlice(image, mask != 0, _read_label(group), _read_patient(group))


def _get_child(parent: Any, name: str, kind: type) -> Any:
    """Return a child that is stored in the file itself: a link could refer to any file of this machine."""
    if not isinstance(parent.get(name, getlink=True), h5py.HardLink) or not isinstance(parent[name], kind):
        raise _InvalidFileError(f"it has no {kind.__name__.lower()} '{name}'")
    return parent[name]


def _read_array(parent: Any, name: str, kinds: str) -> NDArray[Any]:
    """Return an array with the axes that it has in MATLAB; HDF5 stores them in reverse order."""
    dataset = _get_child(parent, name, h5py.Dataset)
    if dataset.is_virtual or dataset.external:
        raise _InvalidFileError(f"{name} is stored in another file")
    if dataset.shape is None or dataset.dtype.kind not in kinds:
        raise _InvalidFileError(f"{name} has the type {dataset.dtype}, which is not supported")
    # Checked before anything is read; a chunk is read whole even if the array is smaller.
    size = max(math.prod(dataset.shape), math.prod(dataset.chunks or ()))
    if size > MAX_ARRAY_VALUES:
        raise _InvalidFileError(f"{name} has {size:,} values, more than {MAX_ARRAY_VALUES:,}")
    return np.asarray(dataset[()]).T


def _read_label(group: h5py.Group) -> str:
    label = _read_array(group, "label", NUMBER_KINDS)
    if label.size != 1 or label.item() not in LABELS:
        raise _InvalidFileError(f"label is {_format_values(label)}, not one of {', '.join(map(str, LABELS))}")
    return LABELS[label.item()]


def _read_patient(group: h5py.Group) -> str:
    """Return the patient's id as text; MATLAB stores each character as its code."""
    codes = _read_array(group, "PID", INTEGER_KINDS).ravel()
    text = "".join(map(chr, codes[:MAX_PATIENT_ID_LENGTH])).strip(" ")
    if not text or not text.isprintable() or codes.size > MAX_PATIENT_ID_LENGTH:
        limit = f"1 to {MAX_PATIENT_ID_LENGTH} characters"
        raise _InvalidFileError(f"PID is {_format_values(codes)}, which is not a text of {limit}")
    return text


def _format_values(values: NDArray[Any]) -> str:
    return f"{values.ravel()[:4].tolist()}{' …' if values.size > 4 else ''}"
