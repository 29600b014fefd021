"""Reading the members of tar archives of others, compressed or not; an archive is untrusted input."""

import bz2
import gzip
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Self

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.readers.archive_limits import (
    MAX_COMPRESSION_RATIO,
    MAX_MEMBER_BYTES,
    MIN_RATIO_CHECK_BYTES,
    portable_name,
    reject_large_archive,
    reject_large_member,
    reject_name_clashes,
    reject_nested_archive,
    reject_unsafe_name,
)
from brain_tumor.datasets.readers.files import UNKNOWN_ENCODING, is_text
from brain_tumor.imaging.formats import GZIP_MAGIC, HIDDEN, is_hidden

BZIP2_MAGIC = b"BZh"
CHUNK_BYTES = 2**20
MAX_HEADER_BYTES = 2**20  # of a long name or of extended attributes
TYPES_IN_MEMORY = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK
)  # fmt: skip
# Exceptions of tarfile and its decoders for corrupted data; headers that refer to each other end in a RecursionError.
CORRUPTION_ERRORS = (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, OverflowError, RecursionError)


class TarFiles:
    """The members of a tar archive, of a `.tar.gz` or of a `.tar.bz2`; no member is extracted to disk.

    A compressed archive is decompressed to an unnamed temporary file first, since its members can otherwise only be
    read one after the other. Links, devices and sparse files are never read.

    Args:
        path: path of the archive.
        scratch: folder for the temporary file; it is created.
        advice: what to do about a corrupted archive.

    Attributes:
        path: path of the archive.
        hint: sentence to add to errors about names that were not found, '' for none.

    Raises:
        UserError: not a tar archive, a corrupted one, one that contains only archives, or one with an unsafe member: a
            path outside the archive, a name that occurs twice, names of images that differ only in case, more than
            2 GiB, or more than 64 GiB or 1,000-fold compression in all.
    """

    def __init__(self, path: Path, scratch: Path, advice: str) -> None:
        self.path, self._advice = path, advice
        self._file = _open_decompressed(path, scratch, advice)
        try:
            self._members = {portable_name(member.name): member for member in self._list_members()}
            self._left_out = {name: reason for name, info in self._members.items() if (reason := _reason(name, info))}
            self._names = sorted(self._members.keys() - self._left_out.keys())
            reject_nested_archive(self._names, path)
        except BaseException:
            self._file.close()
            raise
        self.hint = "" if all(is_text(name) for name in self._names) else UNKNOWN_ENCODING

    def names(self) -> list[str]:
        """Return the sorted names of all files, without hidden ones, links and devices."""
        return self._names

    def left_out(self) -> dict[str, str]:
        """Return the names of hidden members, links and devices, each with the reason."""
        return self._left_out

    def read(self, name: str) -> bytes:
        """Return the bytes of one member; raises a UserError if it is corrupted."""
        member = self._members[name]
        self._file.seek(member.offset_data)
        content = self._file.read(member.size)
        if len(content) < member.size:
            raise UserError(f"{self.path}: {name} is incomplete: {self._advice}")
        return content

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._file.close()

    def _list_members(self) -> list[tarfile.TarInfo]:
        """Return all members but folders; raises a UserError if the archive is corrupted or one of them unsafe."""
        try:
            members = list(_read_headers(self._file))
        except CORRUPTION_ERRORS as error:
            raise UserError(f"{self.path} cannot be read as a tar archive ({error}): {self._advice}") from None
        for member in members:
            reject_unsafe_name(member.name, self.path)
            reject_large_member(member.name, member.size, MAX_MEMBER_BYTES, self.path)
        reject_large_archive(sum(member.size for member in members), self.path)
        files = [member for member in members if not member.isdir()]
        reject_name_clashes(
            [name for name in (portable_name(file.name) for file in files) if not is_hidden(name)], self.path
        )
        return files


class _BoundedTarInfo(tarfile.TarInfo):
    """A header of a member. Long names and attributes, which tarfile reads into memory, are limited in size."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        info = super().frombuf(buf, encoding, errors)
        if info.size < 0 or (info.type in TYPES_IN_MEMORY and info.size > MAX_HEADER_BYTES):
            raise tarfile.ReadError(f"a header of {info.size} bytes")
        return info


def is_tar(head: bytes) -> bool:
    """Return whether a file that begins with `head` is a tar archive, or may be a compressed one."""
    if head.startswith((GZIP_MAGIC, BZIP2_MAGIC)):
        return True
    try:
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


def _read_headers(file: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    """Yield all members; unlike in tarfile, a damaged header in between is an error, not the end."""
    with tarfile.open(fileobj=file, mode="r:", tarinfo=_BoundedTarInfo, encoding="utf-8") as archive:
        offset = -1
        while (member := archive.next()) is not None:
            if member.size < 0 or archive.offset <= offset:  # a negative size would lead back, and into a loop
                raise tarfile.ReadError(f"{member.name} has an impossible size")
            offset = archive.offset
            yield member
        file.seek(archive.offset)
        block = file.read(tarfile.BLOCKSIZE)
        if any(block) or 0 < len(block) < tarfile.BLOCKSIZE:
            raise tarfile.ReadError(f"a damaged header at byte {archive.offset}")


def _open_decompressed(path: Path, scratch: Path, advice: str) -> IO[bytes]:
    """Open an archive; a compressed one is decompressed to a temporary file."""
    file = path.open("rb")
    magic = file.read(len(BZIP2_MAGIC))
    file.seek(0)
    if not magic.startswith((GZIP_MAGIC, BZIP2_MAGIC)):
        return file
    scratch.mkdir(parents=True, exist_ok=True)
    limit = max(path.stat().st_size * MAX_COMPRESSION_RATIO, MIN_RATIO_CHECK_BYTES)
    with ExitStack() as stack:
        spool, size = stack.enter_context(tempfile.TemporaryFile(dir=scratch)), 0
        stack.enter_context(file)
        compressed = gzip.GzipFile(fileobj=file) if magic.startswith(GZIP_MAGIC) else bz2.BZ2File(file)
        stack.enter_context(compressed)
        while chunk := _read_chunk(compressed, path, advice):
            size += len(chunk)
            reject_large_archive(size, path)
            if size > limit:
                raise UserError(f"{path} is compressed more than {MAX_COMPRESSION_RATIO}-fold: rejected")
            spool.write(chunk)
        spool.seek(0)
        compressed.close()
        file.close()
        stack.pop_all()
    return spool


def _read_chunk(compressed: gzip.GzipFile | bz2.BZ2File, path: Path, advice: str) -> bytes:
    try:
        return compressed.read(CHUNK_BYTES)
    except (zlib.error, EOFError, OSError, ValueError) as error:
        raise UserError(f"{path} cannot be decompressed ({error}): {advice}") from None


def _reason(name: str, member: tarfile.TarInfo) -> str:
    """Return why a member is not read, '' if it is."""
    if is_hidden(name):
        return HIDDEN
    if member.issym() or member.islnk():
        return "a link in an archive, which is not followed"
    if not member.isreg() or member.issparse():
        return "not a regular file"
    return ""
