"""Images out of a zip archive that somebody else made: which members count, and what is refused."""

import logging
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol, Self

from pydantic import Field, model_validator

from brain_tumor.archive import RawImage
from brain_tumor.errors import UserError
from brain_tumor.folders import is_hidden
from brain_tumor.parallel import progress
from brain_tumor.params import Block
from brain_tumor.regions import Drawn

log = logging.getLogger(__name__)
MAX_BYTES = 64 * 2**30  # that an archive may unpack to
MAX_MEMBER = 2 * 2**30  # that a member may
MAX_RATIO = 1000
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others unpack to any size, whatever the archive claims
# What zipfile and its decoders raise on damage; ValueError covers names that are no UTF-8.
DAMAGE = (
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
    """Where in the archive an image stands, and what the folder names mean.

    `path` is made of `{split}`, `{label}` and `{file}`, as in `{split}/{label}/{file}`; members that do not
    fit it are left out. `labels` and `splits` map folder names onto the names used here; only folders named
    in them count. `splits` may be empty where the path has no `{split}`. `drawn` is an annotation file of the
    VGG Image Annotator (JSON), whose shapes become masks and boxes of the images with the file names in it.
    """

    path: str
    labels: dict[str, str]
    splits: dict[str, str] = Field(default_factory=dict)
    drawn: str = ""

    @model_validator(mode="after")
    def _names_what_it_needs(self) -> "Layout":
        if self.path.count("{label}") != 1 or self.path.count("{file}") != 1 or self.path.count("{split}") > 1:
            raise ValueError("`path` must hold {label} and {file}, as in {label}/{file}, and nothing twice")
        if ("{split}" in self.path) != bool(self.splits):
            raise ValueError("`splits` goes with a {split} in `path`, and with nothing else")
        return self

    def pattern(self) -> re.Pattern[str]:
        """The path as a regular expression with the groups label, file and perhaps split."""
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
    """A place that files are read from by name: an archive or a folder."""

    place: Path

    def names(self) -> list[str]:
        """Sorted names with `/` between folders."""

    def read(self, name: str) -> bytes:
        """The bytes of one file."""


class ZipFiles:
    """The members of a zip archive; nothing is ever unpacked to disk.

    Args:
        place: where the archive is.
        largest: bytes that a member may unpack to.

    Raises:
        UserError: not a zip, or one with a member that is unsafe (outside paths, links, devices, names that
            differ in case alone, extreme compression, more bytes than `largest`, or than MAX_BYTES in all);
            nothing was read then.
    """

    def __init__(self, place: Path, largest: int = MAX_MEMBER) -> None:
        self.place = place
        try:
            self._zip = zipfile.ZipFile(place)
        except DAMAGE as error:
            raise UserError(f"{place} cannot be read as a zip archive ({error}): download it again") from None
        members = self._zip.infolist()
        for member in members:
            _refuse_unsafe(member, place, largest)
        if sum(member.file_size for member in members) > MAX_BYTES:
            raise UserError(f"{place} unpacks to more than {MAX_BYTES >> 30} GiB: refused")
        files = (member.filename for member in members if not member.is_dir())
        self._names = sorted(name for name in files if not is_hidden(name))
        _refuse_clashes(self._names, place)

    def names(self) -> list[str]:
        """Sorted names of the members, folders and hidden files left out."""
        return self._names

    def read(self, name: str) -> bytes:
        """The bytes of one member; a UserError if it is damaged or encrypted."""
        try:
            return self._zip.read(name)
        except DAMAGE as error:
            raise UserError(f"{self.place}: {name} is damaged ({error}): download it again") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._zip.close()


def read_images(path: Path, layout: Layout) -> Iterator[RawImage]:
    """Yield the images of the zip at `path` that fit `layout`, in sorted order.

    Raises:
        UserError: not a zip, a damaged or unsafe member, or nothing that fits.
    """
    with ZipFiles(path) as files:
        yield from by_layout(files, layout)


def by_layout(files: Files, layout: Layout) -> Iterator[RawImage]:
    """Yield the files that fit `layout`, in sorted order; a UserError if none does."""
    if layout.drawn:
        if layout.drawn not in files.names():
            raise UserError(f"{files.place} holds no {layout.drawn}, which `drawn` names")
        drawn = Drawn(files.read(layout.drawn), f"{files.place}: {layout.drawn}")
        yield from drawn.add_to(_fitting(files, layout))
    else:
        yield from _fitting(files, layout)


def _fitting(files: Files, layout: Layout) -> Iterator[RawImage]:
    pattern, names = layout.pattern(), files.names()
    chosen = [(name, match.groupdict()) for name in names if (match := pattern.fullmatch(name))]
    if not chosen:
        some = ", ".join(names[:3])
        raise UserError(f"{files.place} holds no file of the form {layout.path} (it has {some}, …)")
    if others := sorted({*names} - {name for name, _ in chosen} - {layout.drawn}):
        words = "%s: %d files are left out, as they do not fit %s (%s, …)"
        log.info(words, files.place.name, len(others), layout.path, others[0])
    for name, groups in progress(chosen, f"reading {files.place.name}", len(chosen), "file"):
        split = layout.splits[groups["split"]] if groups.get("split") else ""
        yield RawImage(name, files.read(name), layout.labels[groups["label"]], split)


def damage(path: Path) -> str:
    """Read a zip archive through; say what is wrong with it, or ''. Members have checksums where services give none."""
    try:
        with zipfile.ZipFile(path) as archive:
            member = archive.testzip()
    except DAMAGE as error:
        return f"a zip archive that cannot be read ({error})"
    return f"a zip archive whose member {member} is damaged" if member else ""


def _refuse_clashes(names: list[str], path: Path) -> None:
    """Names that differ in case alone would be one file on some systems, and a name twice is none."""
    seen: dict[str, str] = {}
    for name in names:
        if name.casefold() in seen:
            other = seen[name.casefold()]
            how = "is there twice" if other == name else f"and {other} differ in nothing but case"
            raise UserError(f"{path}: {name} {how}: refused")
        seen[name.casefold()] = name


def _refuse_unsafe(member: zipfile.ZipInfo, path: Path, largest: int) -> None:
    """Nothing is ever unpacked to disk, but paths are passed on, and a bomb would fill the memory."""
    if not member.filename.strip("/"):
        raise UserError(f"{path} has a member without a name: refused")
    parts = PurePosixPath(member.filename.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in "".join(parts.parts[:1]):
        raise UserError(f"{path}: member '{member.filename}' points outside the archive: refused")
    if (member.external_attr >> 16) & 0o170000 not in (0, 0o100000, 0o040000):
        raise UserError(f"{path}: member '{member.filename}' is a link or a device: refused")
    if member.file_size > largest:
        size = f"{member.file_size:,} bytes, over {largest:,}"
        raise UserError(f"{path}: member '{member.filename}' unpacks to {size}: refused")
    if member.file_size > 2**20 and member.file_size > MAX_RATIO * max(member.compress_size, 1):
        raise UserError(f"{path}: member '{member.filename}' is compressed over {MAX_RATIO}-fold: refused")
    if member.compress_type not in METHODS:
        raise UserError(
            f"{path}: member '{member.filename}' is compressed by another method than deflate: refused; pack it anew"
        )
