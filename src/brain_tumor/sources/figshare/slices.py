"""Numbered slices out of zip archives of MATLAB 7.3 (HDF5) files; both are untrusted input."""

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

from brain_tumor.errors import UserError
from brain_tumor.zips import ZipFiles

LABELS = {1: "meningioma", 2: "glioma", 3: "pituitary"}
FOLDS = 5
MAX_PIXELS = 64_000_000
MAX_BYTES = 64 * 2**20  # of one MATLAB file; a real slice has about half a MiB
MAX_CODES = 64  # characters of a patient's id
FILE = re.compile(r"(?:[^/]+/)*([1-9][0-9]{0,5})\.mat")
WHOLE, NUMBER = "iu", "biuf"  # kinds of NumPy types
AGAIN = "delete the file and download it again"


class Slice(NamedTuple):
    """What a file says: image (H, W) of whole numbers, mask (H, W) bool, name of the tumor, patient's id."""

    image: NDArray[Any]
    mask: NDArray[np.bool_]
    label: str
    patient: str


class Member(NamedTuple):
    """A MATLAB file in an open archive."""

    archive: ZipFiles
    name: str

    def __str__(self) -> str:
        return f"{self.archive.place}: {self.name}"

    def read(self) -> Slice:
        """Return the slice; raises a UserError if anything is damaged, missing, or out of its range."""
        content = self.archive.read(self.name)
        try:
            return _read_slice(content)
        except _FlawError as flaw:
            raise UserError(f"{self} cannot be used ({flaw}): {AGAIN}") from None


def open_archives(paths: Sequence[Path], stack: ExitStack) -> dict[int, Member]:
    """Return the members `<number>.mat` of all archives by number; they stay open as long as `stack`.

    Raises:
        UserError: not a zip, an unsafe member, or a number that occurs twice.
    """
    found: dict[int, Member] = {}
    for path in paths:
        archive = stack.enter_context(ZipFiles(path, MAX_BYTES))
        for member in (Member(archive, name) for name in archive.names()):
            if match := FILE.fullmatch(member.name):
                first = found.setdefault(int(match[1]), member)
                if first is not member:
                    raise UserError(f"{member} occurs twice, the first time as {first}: {AGAIN}")
    return found


def read_folds(path: Path) -> list[int]:
    """Return the variable `cvind` of a MATLAB file: the fold, 1 to 5, of each slice in the order of their numbers.

    Raises:
        UserError: it cannot be read, or holds something else.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _FlawError(f"more than {MAX_BYTES >> 20} MiB")
        with _opened(path.read_bytes()) as file:
            folds = _array(file, "cvind", NUMBER)
        if folds.size != max(folds.shape, default=0) or not np.isin(folds, range(1, FOLDS + 1)).all():
            raise _FlawError(f"cvind is no row of fold numbers from 1 to {FOLDS}")
    except (_FlawError, OSError) as error:
        raise UserError(f"{path} cannot be used ({error}): {AGAIN}") from None
    return [int(fold) for fold in folds.ravel()]


class _FlawError(ValueError):
    pass


@contextmanager
def _opened(content: bytes) -> Iterator[h5py.File]:
    """Open an HDF5 file in memory; whatever goes wrong with it is a _FlawError."""
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            yield file
    except _FlawError:
        raise
    except Exception as error:  # h5py raises nearly anything on broken input
        raise _FlawError(f"no sound MATLAB 7.3 file: {str(error) or type(error).__name__}") from None


def _read_slice(content: bytes) -> Slice:
    with _opened(content) as file:
        group = _child(file, "cjdata", h5py.Group)
        image, mask = _array(group, "image", WHOLE), _array(group, "tumorMask", NUMBER)
        if image.ndim != 2 or not image.size:
            raise _FlawError(f"image has the shape {image.shape}, which is no picture")
        if mask.shape != image.shape:
            raise _FlawError(f"tumorMask has the shape {mask.shape}, but image {image.shape}")
        return Slice(image, mask != 0, _label(group), _patient(group))


def _child(parent: Any, name: str, kind: type) -> Any:
    """Return a child that lies in the file itself: a link could name any file of this machine."""
    if not isinstance(parent.get(name, getlink=True), h5py.HardLink) or not isinstance(parent[name], kind):
        raise _FlawError(f"it has no {kind.__name__.lower()} '{name}'")
    return parent[name]


def _array(parent: Any, name: str, kinds: str) -> NDArray[Any]:
    """Return an array as MATLAB shows it: HDF5 has its axes reversed, so that rows come out as columns."""
    dataset = _child(parent, name, h5py.Dataset)
    if dataset.is_virtual or dataset.external:
        raise _FlawError(f"{name} lies in another file")
    if dataset.shape is None or dataset.dtype.kind not in kinds:
        raise _FlawError(f"{name} holds {dataset.dtype}, not the numbers expected")
    # Known before anything is read; a chunk is read whole even where the array is smaller.
    size = max(math.prod(dataset.shape), math.prod(dataset.chunks or ()))
    if size > MAX_PIXELS:
        raise _FlawError(f"{name} has {size:,} values, more than {MAX_PIXELS:,}")
    return np.asarray(dataset[()]).T


def _label(group: h5py.Group) -> str:
    label = _array(group, "label", NUMBER)
    if label.size != 1 or label.item() not in LABELS:
        raise _FlawError(f"label is {_start(label)}, not one of {', '.join(map(str, LABELS))}")
    return LABELS[label.item()]


def _patient(group: h5py.Group) -> str:
    """The id as text: MATLAB stores each character as its code."""
    codes = _array(group, "PID", WHOLE).ravel()
    text = "".join(map(chr, codes[:MAX_CODES])).strip(" ")
    if not text or not text.isprintable() or codes.size > MAX_CODES:
        raise _FlawError(f"PID is {_start(codes)}, which is no text of 1 to {MAX_CODES} characters")
    return text


def _start(values: NDArray[Any]) -> str:
    return f"{values.ravel()[:4].tolist()}{' …' if values.size > 4 else ''}"
