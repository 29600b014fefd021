"""Reading the members of zip archives of others; an archive is untrusted input."""

import lzma
import zipfile
import zlib
from pathlib import Path
from typing import Self

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.readers.archive_limits import (
    MAX_COMPRESSION_RATIO,
    MAX_MEMBER_BYTES,
    MIN_RATIO_CHECK_BYTES,
    SAVE_ITSELF,
    portable_name,
    read_head,
    reject_large_archive,
    reject_large_member,
    reject_name_clashes,
    reject_nested_archive,
    reject_unsafe_name,
)
from brain_tumor.datasets.readers.files import UNKNOWN_ENCODING
from brain_tumor.imaging.formats import HIDDEN, identify, is_hidden

DOWNLOAD_AGAIN = "download it again"
ZIP_MAGIC = b"PK\x03\x04"
PACK_AS_ZIP = "pack the files as a zip archive under this name"
DAMAGED_END = "a zip archive whose end is missing or damaged"
IS_ENCRYPTED, HAS_UTF8_NAME = 0x1, 0x800  # flags of a member
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


class ZipFiles:
    """The members of a zip archive; nothing is extracted to disk.

    Names that the archive does not declare as UTF-8 are read as UTF-8 if they are valid UTF-8; backslashes separate
    folders.

    Args:
        path: path of the archive.
        max_member_bytes: decompressed size that a member may have.
        advice: what to do about a corrupted archive.

    Attributes:
        path: path of the archive.
        hint: sentence to add to errors about names that were not found, '' for none.

    Raises:
        UserError: not a zip archive, an encrypted one, one that contains only archives, or one with an unsafe member: a
            path outside the archive, a link, a device, a name that occurs twice, names of images that differ only in
            case, extreme compression, more than `max_member_bytes`, or more than 64 GiB in all. No member has been
            decompressed then.
    """

    def __init__(self, path: Path, max_member_bytes: int = MAX_MEMBER_BYTES, advice: str = DOWNLOAD_AGAIN) -> None:
        self.path, self._advice = path, advice
        try:
            self._zip = zipfile.ZipFile(path)
        except CORRUPTION_ERRORS:
            raise UserError(_describe_problem(path, advice)) from None
        try:
            members = self._zip.infolist()
            for member in members:
                _reject_unsafe_member(member, path, max_member_bytes)
            reject_large_archive(sum(member.file_size for member in members), path)
            files = [(*_read_name(member), member) for member in members if not _is_folder(member)]
            reject_name_clashes([name for name, _, _ in files if not is_hidden(name)], path)
            self._members = {name: member for name, _, member in files}
            self._names = sorted(name for name in self._members if not is_hidden(name))
            reject_nested_archive(self._names, path)
        except UserError:
            self._zip.close()
            raise
        self.hint = "" if all(is_known for _, is_known, _ in files) else UNKNOWN_ENCODING

    def names(self) -> list[str]:
        """Return the sorted names of all members, without folders and hidden files."""
        return self._names

    def left_out(self) -> dict[str, str]:
        """Return the names of the hidden members, each with the reason."""
        return dict.fromkeys(sorted(self._members.keys() - set(self._names)), HIDDEN)

    def read(self, name: str) -> bytes:
        """Return the bytes of one member; raises a UserError if it is corrupted."""
        try:
            return self._zip.read(self._members[name])
        except CORRUPTION_ERRORS as error:
            raise UserError(f"{self.path}: {name} is corrupted ({error}): {self._advice}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._zip.close()


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


def _describe_problem(path: Path, advice: str) -> str:
    """Return what something is that cannot be opened as a zip archive, and what to do: `advice` for a damaged one.

    Raises:
        UserError: it cannot be read at all.
    """
    if path.is_dir():
        return f"{path} is a folder, not a zip archive: {PACK_AS_ZIP}"
    head = read_head(path)
    _, reason, other = identify(head, "")
    if head.startswith(ZIP_MAGIC[:2]) or other == "unknown":
        damage = DAMAGED_END if head.startswith(ZIP_MAGIC[:2]) else reason
        return f"{path} cannot be read as a zip archive ({damage}): {advice}"
    what_to_do = f"unpack it, and {PACK_AS_ZIP}" if other == "packed" else SAVE_ITSELF
    return f"{path} is {reason or 'an image'}, not a zip archive: {what_to_do}"


def _is_folder(member: zipfile.ZipInfo) -> bool:
    return member.filename.endswith(("/", "\\"))


def _read_name(member: zipfile.ZipInfo) -> tuple[str, bool]:
    """Return the name of a member with `/` between folders, and whether its encoding is known."""
    name = member.filename
    if name.isascii() or member.flag_bits & HAS_UTF8_NAME:
        return portable_name(name), True
    try:
        return portable_name(name.encode("cp437").decode("utf-8")), True
    except UnicodeError:
        return portable_name(name), False


def _reject_unsafe_member(member: zipfile.ZipInfo, path: Path, max_bytes: int) -> None:
    """Raise a UserError for names that are unsafe as paths, and for members that cannot be read or fill the memory."""
    reject_unsafe_name(member.filename, path)
    if (member.external_attr >> 16) & 0o170000 not in (0, 0o100000, 0o040000):
        raise UserError(f"{path}: member '{member.filename}' is a link or a device: rejected")
    if member.flag_bits & IS_ENCRYPTED:
        raise UserError(
            f"{path} is protected by a password: unpack it with the password, and set `kind: folder` for the files or "
            "pack them again without a password"
        )
    reject_large_member(member.filename, member.file_size, max_bytes, path)
    ratio = member.file_size / max(member.compress_size, 1)
    if member.file_size > MIN_RATIO_CHECK_BYTES and ratio > MAX_COMPRESSION_RATIO:
        limit = f"more than {MAX_COMPRESSION_RATIO}-fold"
        raise UserError(f"{path}: member '{member.filename}' is compressed {limit}: rejected")
    if member.compress_type not in SUPPORTED_COMPRESSION:
        raise UserError(f"{path}: member '{member.filename}' has an unsupported compression: repack with deflate")
