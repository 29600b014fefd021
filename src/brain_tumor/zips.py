"""Images out of a zip archive that somebody else made: which members count, and what is refused."""

import lzma
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pydantic import Field, model_validator

from brain_tumor.archive import RawImage
from brain_tumor.errors import UserError
from brain_tumor.parallel import progress
from brain_tumor.params import Block

MAX_BYTES = 64 * 2**30
MAX_RATIO = 1000
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
    in them count. `splits` may be empty where the path has no `{split}`.
    """

    path: str
    labels: dict[str, str]
    splits: dict[str, str] = Field(default_factory=dict)

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


def read_images(path: Path, layout: Layout) -> Iterator[RawImage]:
    """Yield the images of the zip at `path` that fit `layout`, in sorted order.

    Raises:
        UserError: not a zip, a damaged or unsafe member, or nothing that fits.
    """
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGE as error:
        raise UserError(f"{path} cannot be read as a zip archive ({error}): download it again") from None
    with archive:
        members = sorted(archive.infolist(), key=lambda member: member.filename)
        for member in members:
            _refuse_unsafe(member, path)
        if sum(member.file_size for member in members) > MAX_BYTES:
            raise UserError(f"{path} unpacks to more than {MAX_BYTES >> 30} GiB: refused")
        pattern = layout.pattern()
        chosen = [(member, match) for member in members if (match := pattern.fullmatch(member.filename))]
        if not chosen:
            some = ", ".join(member.filename for member in members[:3])
            raise UserError(f"{path} holds no file of the form {layout.path} (it has {some}, …)")
        pairs = progress(chosen, f"reading {path.name}", len(chosen), "file")
        for member, match in pairs:
            groups = match.groupdict()
            try:
                content = archive.read(member)
            except DAMAGE as error:
                raise UserError(f"{path}: {member.filename} is damaged ({error}): download it again") from None
            split = layout.splits[groups["split"]] if groups.get("split") else ""
            yield RawImage(member.filename, content, layout.labels[groups["label"]], split)


def find_on_disk(name: str) -> Path | None:
    """Return the archive `name` from one of the folders in DATA_ARCHIVES (separated as in PATH), if there."""
    for folder in filter(None, os.environ.get("DATA_ARCHIVES", "").split(os.pathsep)):
        if not Path(folder).is_dir():
            raise UserError(f"DATA_ARCHIVES names {folder}, which is no folder")
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    return None


def _refuse_unsafe(member: zipfile.ZipInfo, path: Path) -> None:
    """Nothing is ever unpacked to disk, but paths are passed on, and a bomb would fill the memory."""
    parts = PurePosixPath(member.filename.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in "".join(parts.parts[:1]):
        raise UserError(f"{path}: member '{member.filename}' points outside the archive: refused")
    if (member.external_attr >> 16) & 0o170000 not in (0, 0o100000, 0o040000):
        raise UserError(f"{path}: member '{member.filename}' is a link or a device: refused")
    if member.file_size > 2**20 and member.file_size > MAX_RATIO * max(member.compress_size, 1):
        raise UserError(f"{path}: member '{member.filename}' is compressed over {MAX_RATIO}-fold: refused")
