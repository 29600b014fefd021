"""Reading images from zip archives of others; an archive is untrusted input."""

import logging
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol, Self

from pydantic import Field, model_validator

from brain_tumor.core.errors import UserError
from brain_tumor.core.params import Block
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.via_annotations import ViaAnnotations
from brain_tumor.imaging.formats import is_hidden
from brain_tumor.parallel import progress

log = logging.getLogger(__name__)
MAX_ARCHIVE_BYTES = 64 * 2**30  # decompressed, all members together
MAX_MEMBER_BYTES = 2 * 2**30  # decompressed
MAX_COMPRESSION_RATIO = 1000
MIN_RATIO_CHECK_BYTES = 2**20  # smaller members may have any ratio
# With other methods, a member may decompress to more than the size that the archive states.
SUPPORTED_COMPRESSION = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# Exceptions of zipfile and its decoders for corrupted data; ValueError covers names that are not UTF-8.
CORRUPTION_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


class Layout(Block):
    """Paths of the images, and the meaning of the folder names in them.

    Attributes:
        path: pattern of the paths, made of `{split}`, `{label}` and `{file}`, such as `{split}/{label}/{file}`. Files
            that do not match it are ignored.
        labels: maps the folder names at `{label}` to labels; other folders are ignored.
        splits: maps the folder names at `{split}` to published splits; other folders are ignored. Empty if `path` has
            no `{split}`.
        annotations: path of an annotation file of the VGG Image Annotator (JSON), '' for none. Its shapes become masks
            and boxes of the images whose file names it contains.
    """

    path: str
    labels: dict[str, str]
    splits: dict[str, str] = Field(default_factory=dict)
    annotations: str = ""

    @model_validator(mode="after")
    def _validate_placeholders(self) -> "Layout":
        if self.path.count("{label}") != 1 or self.path.count("{file}") != 1 or self.path.count("{split}") > 1:
            raise ValueError("`path` must contain {label} and {file} once, and {split} at most once")
        if ("{split}" in self.path) != bool(self.splits):
            raise ValueError("`splits` must be set if and only if `path` contains {split}")
        return self

    def pattern(self) -> re.Pattern[str]:
        """Return the path as a regular expression with the groups label, file and, if the path has it, split."""
        names = {
            "{label}": f"(?P<label>{'|'.join(map(re.escape, self.labels))})",
            "{split}": f"(?P<split>{'|'.join(map(re.escape, self.splits))})",
            "{file}": "(?P<file>[^/]+)",
        }
        text = re.escape(self.path)
        for name, expression in names.items():
            text = text.replace(re.escape(name), expression)
        return re.compile(text)


class Files(Protocol):
    """An archive or a folder whose files are read by name.

    Attributes:
        path: path of the archive or folder.
    """

    path: Path

    def names(self) -> list[str]:
        """Return the sorted names of all files, `/` between folders."""

    def read(self, name: str) -> bytes:
        """Return the bytes of one file."""


class ZipFiles:
    """The members of a zip archive; nothing is extracted to disk.

    Args:
        path: path of the archive.
        max_member_bytes: decompressed size that a member may have.

    Raises:
        UserError: not a zip archive, or one with an unsafe member: a path outside the archive, a link, a device, names
            that differ only in case, extreme compression, more than `max_member_bytes`, or more than MAX_ARCHIVE_BYTES
            in all. No member has been decompressed then.
    """

    def __init__(self, path: Path, max_member_bytes: int = MAX_MEMBER_BYTES) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except CORRUPTION_ERRORS as error:
            raise UserError(f"{path} cannot be read as a zip archive ({error}): download it again") from None
        members = self._zip.infolist()
        for member in members:
            _reject_unsafe_member(member, path, max_member_bytes)
        if sum(member.file_size for member in members) > MAX_ARCHIVE_BYTES:
            raise UserError(f"{path} decompresses to more than {MAX_ARCHIVE_BYTES >> 30} GiB: rejected")
        files = (member.filename for member in members if not member.is_dir())
        self._names = sorted(name for name in files if not is_hidden(name))
        _reject_name_clashes(self._names, path)

    def names(self) -> list[str]:
        """Return the sorted names of all members, without folders and hidden files."""
        return self._names

    def read(self, name: str) -> bytes:
        """Return the bytes of one member; raises a UserError if it is corrupted or encrypted."""
        try:
            return self._zip.read(name)
        except CORRUPTION_ERRORS as error:
            raise UserError(f"{self.path}: {name} is corrupted ({error}): download it again") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._zip.close()


def read_images(path: Path, layout: Layout) -> Iterator[RawImage]:
    """Yield the images of the zip archive at `path` that match `layout`, in sorted order.

    Raises:
        UserError: not a zip archive, a corrupted or unsafe member, or no member that matches.
    """
    with ZipFiles(path) as files:
        yield from read_by_layout(files, layout)


def read_by_layout(files: Files, layout: Layout) -> Iterator[RawImage]:
    """Yield the files that match `layout`, in sorted order; raises a UserError if there are none."""
    if layout.annotations:
        if layout.annotations not in files.names():
            raise UserError(f"{files.path} does not contain {layout.annotations}, which `annotations` names")
        annotations = ViaAnnotations(files.read(layout.annotations), f"{files.path}: {layout.annotations}")
        yield from annotations.add_to(_matching_files(files, layout))
    else:
        yield from _matching_files(files, layout)


def _matching_files(files: Files, layout: Layout) -> Iterator[RawImage]:
    pattern, names = layout.pattern(), files.names()
    matches = [(name, match.groupdict()) for name in names if (match := pattern.fullmatch(name))]
    if not matches:
        examples = ", ".join(names[:3])
        raise UserError(f"{files.path} has no file that matches {layout.path} (it has {examples}, …)")
    if others := sorted({*names} - {name for name, _ in matches} - {layout.annotations}):
        message = "%s: %d files are ignored, as they do not match %s (%s, …)"
        log.info(message, files.path.name, len(others), layout.path, others[0])
    for name, groups in progress(matches, f"reading {files.path.name}", len(matches), "file"):
        split = layout.splits[groups["split"]] if groups.get("split") else ""
        yield RawImage(name, files.read(name), layout.labels[groups["label"]], split)


def find_corruption(path: Path) -> str:
    """Read all members of a zip archive and verify their checksums.

    Returns:
        What is wrong with the archive, '' if nothing.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            member = archive.testzip()
    except CORRUPTION_ERRORS as error:
        return f"a zip archive that cannot be read ({error})"
    return f"a zip archive whose member {member} is corrupted" if member else ""


def _reject_name_clashes(names: list[str], path: Path) -> None:
    """Raise a UserError for duplicate names, also for those that differ only in case: some systems ignore case."""
    seen: dict[str, str] = {}
    for name in names:
        if name.casefold() in seen:
            other = seen[name.casefold()]
            problem = "occurs twice" if other == name else f"and {other} differ only in case"
            raise UserError(f"{path}: {name} {problem}: rejected")
        seen[name.casefold()] = name


def _reject_unsafe_member(member: zipfile.ZipInfo, path: Path, max_bytes: int) -> None:
    """Raise a UserError for names that are unsafe as paths, and for members that could fill the memory."""
    if not member.filename.strip("/"):
        raise UserError(f"{path} has a member without a name: rejected")
    parts = PurePosixPath(member.filename.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in "".join(parts.parts[:1]):
        raise UserError(f"{path}: member '{member.filename}' points outside the archive: rejected")
    if (member.external_attr >> 16) & 0o170000 not in (0, 0o100000, 0o040000):
        raise UserError(f"{path}: member '{member.filename}' is a link or a device: rejected")
    if member.file_size > max_bytes:
        size = f"{member.file_size:,} bytes, more than {max_bytes:,}"
        raise UserError(f"{path}: member '{member.filename}' decompresses to {size}: rejected")
    ratio = member.file_size / max(member.compress_size, 1)
    if member.file_size > MIN_RATIO_CHECK_BYTES and ratio > MAX_COMPRESSION_RATIO:
        limit = f"more than {MAX_COMPRESSION_RATIO}-fold"
        raise UserError(f"{path}: member '{member.filename}' is compressed {limit}: rejected")
    if member.compress_type not in SUPPORTED_COMPRESSION:
        raise UserError(f"{path}: member '{member.filename}' has an unsupported compression: repack with deflate")
