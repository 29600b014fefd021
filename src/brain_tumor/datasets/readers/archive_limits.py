"""What an archive of others must not contain, whatever its format."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from brain_tumor.core.errors import UserError
from brain_tumor.imaging.formats import HEAD_BYTES, IMAGE_SUFFIXES

MAX_ARCHIVE_BYTES = 64 * 2**30  # decompressed, all members together
MAX_MEMBER_BYTES = 2 * 2**30  # decompressed
MAX_COMPRESSION_RATIO = 1000
MIN_RATIO_CHECK_BYTES = 2**20  # what decompresses to less may have any ratio
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
SAVE_ITSELF = "save the archive itself under this name"


def portable_name(name: str) -> str:
    """Return the name of a member with `/` between folders, as all systems read it: `.\\a\\1.png` is `a/1.png`."""
    return PurePosixPath(name.replace("\\", "/")).as_posix()


def reject_unsafe_name(name: str, path: Path) -> None:
    """Raise a UserError for a member of the archive `path` whose name is unsafe as a path."""
    if not name.strip("/"):
        raise UserError(f"{path} has a member without a name: rejected")
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in "".join(parts.parts[:1]):
        raise UserError(f"{path}: member '{name}' points outside the archive: rejected")


def reject_large_member(name: str, size: int, limit: int, path: Path) -> None:
    """Raise a UserError for a member of more than `limit` bytes."""
    if size > limit:
        sizes = f"{size:,} bytes, more than {limit:,}"
        raise UserError(f"{path}: member '{name}' decompresses to {sizes}: rejected")


def reject_large_archive(size: int, path: Path) -> None:
    """Raise a UserError for an archive that decompresses to more than MAX_ARCHIVE_BYTES."""
    if size > MAX_ARCHIVE_BYTES:
        raise UserError(f"{path} decompresses to more than {MAX_ARCHIVE_BYTES >> 30} GiB: rejected")


def reject_name_clashes(names: Sequence[str], path: Path) -> None:
    """Raise a UserError for a name that occurs twice, and for images whose names differ only in case.

    Systems that ignore case would take the second image for the first.
    """
    seen: dict[str, str] = {}
    for name in names:
        key = name.lower() if name.lower().endswith(IMAGE_SUFFIXES) else name
        if key in seen:
            other = seen[key]
            problem = "occurs twice" if other == name else f"and {other} differ only in case"
            raise UserError(f"{path}: {name} {problem}: rejected")
        seen[key] = name


def reject_nested_archive(names: Sequence[str], path: Path) -> None:
    """Raise a UserError for an archive that contains nothing but archives."""
    if names and all(name.lower().endswith(ARCHIVE_SUFFIXES) for name in names):
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise UserError(
            f"{path} contains nothing but {names[0]}{more}, an archive in an archive: unpack it once, and use what "
            "comes out"
        )


def describe_inner_archives(names: Sequence[str], path: Path) -> str:
    """Return what to do about archives among the files of a source in which something was not found, '' for none.

    Args:
        names: the files of the source.
        path: path of the archive or folder.
    """
    inner = [name for name in names if name.lower().endswith(ARCHIVE_SUFFIXES)]
    if not inner:
        return ""
    more = f" and {len(inner) - 1} more" if len(inner) > 1 else ""
    if path.is_dir():
        return f"It contains {inner[0]}{more}, whose files are not read: unpack such an archive in the folder."
    return (
        f"It contains {inner[0]}{more}, an archive in an archive, whose files are not read: unpack both, and pack the "
        "files again, or set `kind: folder` for them."
    )


def read_head(path: Path) -> bytes:
    """Return the first HEAD_BYTES of a file; raises a UserError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
