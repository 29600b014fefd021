"""The raw store: one stored zip a data set, the same bytes for the same files, with an index of its images."""

import functools
import hashlib
import io
import os
import tempfile
import unicodedata
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

import pandas as pd

from brain_tumor.errors import UserError

INDEX = "index.csv"
COLUMNS = ["path", "label", "split", "patient", "mask", "plane", "sha256"]
# Columns that an index has only if its source says something there, so that a new one changes no other set.
OPTIONAL = ["fold", "box", "site", "age", "sex"]


class RawImage(NamedTuple):
    """One image file, untouched, and what its source says of it ('' where it says nothing).

    `fold` is the number of the source's own fold; `box` holds the tumor's boxes as `left top width height` in
    pixels, several joined by `;`; `mask` is an image file of the same size, bright where the tumor is.
    """

    path: str
    content: bytes
    label: str
    split: str = ""
    patient: str = ""
    plane: str = ""
    mask: bytes | None = None
    fold: str = ""
    box: str = ""
    site: str = ""
    age: str = ""
    sex: str = ""


def write(target: Path, images: Iterable[RawImage]) -> pd.DataFrame:
    """Write a raw archive and return its index, one row an image, sorted by path.

    Members are stored, not compressed (images are compressed already, and DVC hashes what it stores), with
    a fixed date and mode; masks go under `masks/` by the path of their image. Images may come in any order:
    they wait for their turn in a file without a name beside `target`, so that memory holds one at a time.
    """
    with tempfile.TemporaryFile(dir=target.parent) as spool:
        index, places = _spool(images, spool)
        content = index.to_csv(index=False, lineterminator="\n").encode()
        places[INDEX] = (spool.seek(0, os.SEEK_END), len(content))
        spool.write(content)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            for name in sorted(places):
                member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
                member.external_attr = 0o644 << 16
                member.create_system = 3
                start, size = places[name]
                spool.seek(start)
                archive.writestr(member, spool.read(size))
    return index


def _spool(images: Iterable[RawImage], spool: IO[bytes]) -> tuple[pd.DataFrame, dict[str, tuple[int, int]]]:
    """Write images and masks one after the other, as they come; return the index, and start and size of each file."""
    rows = []
    places: dict[str, tuple[int, int]] = {}
    for image in images:
        mask = f"masks/{image.path}" if image.mask is not None else ""
        for name, content in ((image.path, image.content), (mask, image.mask)):
            if content is not None:
                if name in places or name == INDEX:
                    raise UserError(f"{name} occurs twice: file names must differ, and masks take those under masks/")
                places[name] = (spool.tell(), len(content))
                spool.write(content)
        _require_plain(image)
        said = {name: getattr(image, name) for name in COLUMNS + OPTIONAL if name not in ("mask", "sha256")}
        rows.append(said | {"mask": mask, "sha256": hashlib.sha256(image.content).hexdigest()})
    index = pd.DataFrame(rows, columns=COLUMNS + OPTIONAL, dtype=str).sort_values("path", ignore_index=True)
    return index.drop(columns=[name for name in OPTIONAL if (index[name] == "").all()]), places


def _require_plain(image: RawImage) -> None:
    """What no CSV file brings back as it was: a carriage return in a name, say, as macOS has in its `Icon` files."""
    for field, text in zip(image._fields, image, strict=True):
        if isinstance(text, str) and any(unicodedata.category(sign) in ("Cc", "Cs") for sign in text):
            raise UserError(f"{image.path!r}: {field} holds a control character, or is no UTF-8: {text!r}; rename it")


class RawArchive:
    """Read access to a raw archive: `index` is its table, `read(path)` a member's bytes."""

    def __init__(self, path: str | Path) -> None:
        self._zip = zipfile.ZipFile(path)
        self.index = pd.read_csv(io.BytesIO(self._zip.read(INDEX)), dtype=str, keep_default_na=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def read(self, path: str) -> bytes:
        """Return the bytes of one member."""
        return self._zip.read(path)


class Reader:
    """Reads members of the raw archive at `path`; unlike an open archive it can be sent to another process."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __call__(self, member: str) -> bytes:
        """Return the bytes of one member."""
        return _opened(self._path).read(member)


@functools.lru_cache(maxsize=8)
def _opened(path: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def fingerprint(index: pd.DataFrame) -> str:
    """SHA-256 over the sorted contents, labels and published splits: blind to file names and their order."""
    lines = sorted(index["sha256"] + " " + index["label"] + " " + index["split"])
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def class_counts(index: pd.DataFrame) -> dict[str, int]:
    """Number of images by label, or by `split/label` where the source has published splits."""
    keys = (index["split"] + "/" + index["label"]).str.lstrip("/")
    return {str(key): int(count) for key, count in keys.value_counts().sort_index().items()}


def check_expected(index: pd.DataFrame, counts: Mapping[str, int], expected: str, source: str) -> None:
    """Raise a UserError that shows both sides unless class counts and fingerprint are as expected.

    An empty `counts` or `expected` is not checked: a new data set starts with neither.
    """
    found_counts, found = class_counts(index), fingerprint(index)
    if counts and dict(counts) != found_counts:
        raise UserError(
            f"{source} does not hold what params.yaml expects.\n  expected {dict(sorted(counts.items()))}\n"
            f"  found    {found_counts}\nGet the version named in params.yaml, or change `expect` if you mean it."
        )
    if expected and expected != found:
        raise UserError(
            f"{source} has the expected number of images, but other contents.\n  expected fingerprint {expected}\n"
            f"  found                {found}\nGet the version named in params.yaml, or change `expect` if you mean it."
        )
