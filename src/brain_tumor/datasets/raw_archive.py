"""The raw archive of a data set: an uncompressed zip of its files and an index; same files, same bytes."""

import functools
import hashlib
import os
import tempfile
import textwrap
import unicodedata
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

import pandas as pd
import yaml

from brain_tumor.core.errors import UserError
from brain_tumor.core.tables import read_table

INDEX = "index.csv"
COLUMNS = ["path", "label", "split", "patient", "mask", "plane", "sha256"]
# Columns that an index has only if a cell is not empty, so that a new column does not change other data sets.
OPTIONAL_COLUMNS = ["fold", "box", "site", "age", "sex"]


class RawImage(NamedTuple):
    """An unchanged image file and its metadata, '' where the source has none.

    Attributes:
        path: unique in the data set, `/` between folders.
        content: bytes of the image file.
        label: its class.
        split: split published by the source, train or test.
        patient: identifies the patient within the data set.
        plane: axial, coronal or sagittal.
        mask: bytes of an image file of the same size, bright inside the tumor; None if the source has none.
        fold: number of the source's own cross-validation fold.
        box: boxes around the tumor, as `brain_tumor.imaging.boxes` formats them.
        site: where the image was acquired.
        age: age of the patient in years.
        sex: sex of the patient.
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


def write_archive(target: Path, images: Iterable[RawImage]) -> pd.DataFrame:
    """Write a raw archive.

    Members are stored without compression (images are compressed already, and DVC hashes what it stores), sorted by
    name, with a fixed date and mode. Masks have the path of their image below `masks/`. Images may come in any order:
    they are collected in an unnamed temporary file in the folder of `target`, so that only one is in memory at a time.

    Returns:
        The index, one row per image, sorted by path.

    Raises:
        UserError: a path that occurs twice, or text that a CSV file cannot store.
    """
    with tempfile.TemporaryFile(dir=target.parent) as spool:
        index, extents = write_spool(images, spool)
        content = index.to_csv(index=False, lineterminator="\n").encode()
        extents[INDEX] = (spool.seek(0, os.SEEK_END), len(content))
        spool.write(content)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            for name in sorted(extents):
                start, size = extents[name]
                spool.seek(start)
                archive.writestr(undated_member(name), spool.read(size))
    return index


def undated_member(name: str) -> zipfile.ZipInfo:
    """Return the header of a stored member whose bytes depend on its name alone: fixed date, mode and system."""
    member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    member.external_attr = 0o644 << 16
    member.create_system = 3
    return member


def write_spool(images: Iterable[RawImage], spool: IO[bytes]) -> tuple[pd.DataFrame, dict[str, tuple[int, int]]]:
    """Write images and masks one after the other in the order given.

    Returns:
        The index, sorted by path, and start and size in bytes of each member in the spool.
    """
    rows = []
    extents: dict[str, tuple[int, int]] = {}
    for image in images:
        mask = f"masks/{image.path}" if image.mask is not None else ""
        for name, content in ((image.path, image.content), (mask, image.mask)):
            if content is not None:
                if name in extents or name == INDEX:
                    raise UserError(f"{name} occurs twice: paths must differ; those below masks/ are used for masks")
                extents[name] = (spool.tell(), len(content))
                spool.write(content)
        reject_unsafe_text(image)
        columns = COLUMNS + OPTIONAL_COLUMNS
        metadata = {name: getattr(image, name) for name in columns if name not in ("mask", "sha256")}
        rows.append(metadata | {"mask": mask, "sha256": hashlib.sha256(image.content).hexdigest()})
    index = pd.DataFrame(rows, columns=COLUMNS + OPTIONAL_COLUMNS, dtype=str).sort_values("path", ignore_index=True)
    return index.drop(columns=[name for name in OPTIONAL_COLUMNS if (index[name] == "").all()]), extents


def reject_unsafe_text(image: RawImage) -> None:
    """Raise a UserError for text that a CSV file would change, such as the carriage return in macOS's `Icon` files."""
    for field, text in zip(image._fields, image, strict=True):
        if isinstance(text, str) and any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
            raise UserError(f"{image.path!r}: {field} has a control character or is not UTF-8: {text!r}; rename it")


class RawArchive:
    """Read access to a raw archive.

    Attributes:
        index: one row per image, sorted by path; all columns are text.
    """

    def __init__(self, path: str | Path) -> None:
        self._zip = zipfile.ZipFile(path)
        with self._zip.open(INDEX) as file:
            self.index = read_table(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def read(self, path: str) -> bytes:
        """Return the bytes of one member."""
        return self._zip.read(path)


class ArchiveReader:
    """Reads members of the raw archive at `path`; unlike an open archive, it can be sent to another process."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __call__(self, member: str) -> bytes:
        """Return the bytes of one member."""
        return _open_zip(self._path).read(member)


@functools.lru_cache(maxsize=8)
def _open_zip(path: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def content_fingerprint(index: pd.DataFrame) -> str:
    """Return the SHA-256 of all contents, labels and published splits, independent of file names and their order."""
    lines = sorted(index["sha256"] + " " + index["label"] + " " + index["split"])
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def class_counts(index: pd.DataFrame) -> dict[str, int]:
    """Count images by label, or by `split/label` where the source has published splits."""
    keys = (index["split"] + "/" + index["label"]).str.lstrip("/")
    return {str(key): int(count) for key, count in keys.value_counts().sort_index().items()}


def format_expected(index: pd.DataFrame) -> str:
    """Return `datasets.<name>.expected` of a data set as lines of params.yaml, indented as they are there."""
    block = {"expected": {"counts": class_counts(index), "fingerprint": content_fingerprint(index)}}
    return textwrap.indent(yaml.safe_dump(block, allow_unicode=True, sort_keys=False, width=1000), " " * 4).rstrip()


def find_missing_classes(index: pd.DataFrame) -> list[str]:
    """Return `split/label` for each class that has images, but none in one of the published splits."""
    splits, labels = sorted({*index["split"]} - {""}), sorted({*index["label"]})
    counts = class_counts(index)
    return [key for split in splits for label in labels if (key := f"{split}/{label}") not in counts]


def check_expected(index: pd.DataFrame, counts: Mapping[str, int], fingerprint: str, name: str) -> None:
    """Compare a data set with what params.yaml expects.

    Args:
        index: index of the raw archive.
        counts: expected `class_counts`; an empty one is not checked, since a new data set starts without.
        fingerprint: expected `content_fingerprint`; '' is not checked.
        name: name of the data set, for the message.

    Raises:
        UserError: the counts or the fingerprint differ; the message shows both sides.
    """
    advice = "Get the version named in params.yaml, or change `expected` there if the new contents are intended."
    actual_counts, actual_fingerprint = class_counts(index), content_fingerprint(index)
    if counts and dict(counts) != actual_counts:
        raise UserError(
            f"{name} does not contain what params.yaml expects.\n  expected {dict(sorted(counts.items()))}\n"
            f"  actual   {actual_counts}\n{advice}"
        )
    if fingerprint and fingerprint != actual_fingerprint:
        raise UserError(
            f"{name} has the expected number of images, but other contents.\n  expected fingerprint {fingerprint}\n"
            f"  actual fingerprint   {actual_fingerprint}\n{advice}"
        )
