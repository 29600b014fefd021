"""Checks of --out before any work is done: nothing of the user's is ever overwritten or deleted by mistake."""

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from brain_tumor.core.errors import UserError

TABLE_SUFFIX = ".csv"


def check_out_table(out: Path, sources: Sequence[Path]) -> None:
    """Check a CSV file that a command is to write; an older one is replaced.

    Args:
        out: the file.
        sources: what the command reads.

    Raises:
        UserError: `out` is a folder, has another suffix than .csv, is one of the sources, or cannot be written.
    """
    if out.is_dir():
        raise UserError(f"--out {out} is a folder, and must be a CSV file: name one, as in {out / 'out.csv'}")
    if out.suffix.lower() != TABLE_SUFFIX:
        raise UserError(f"--out {out} must end with {TABLE_SUFFIX}")
    _reject_sources([out], sources)
    _require_writable(out.parent, out)


def check_out_folder(out: Path, files: Collection[str], sources: Sequence[Path]) -> None:
    """Check a folder that a command is to write files to; older ones of the same names are replaced.

    Args:
        out: the folder, which need not exist.
        files: names of the files.
        sources: what the command reads.

    Raises:
        UserError: `out` is a file or cannot be written, or one of its files is a folder or one of the sources.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file, and must be a folder")
    for file in files:
        if (out / file).is_dir():
            raise UserError(f"--out {out}: {out / file} is a folder, and would be replaced by a file")
    _reject_sources([out / file for file in files], sources)
    _require_writable(out, out)


def _reject_sources(targets: Sequence[Path], sources: Sequence[Path]) -> None:
    for target in targets:
        if any(target.exists() and source.exists() and target.samefile(source) for source in sources):
            raise UserError(f"--out: {target} is an input, and would be overwritten: name another file or folder")


def _require_writable(folder: Path, out: Path) -> None:
    """Raise a UserError unless files can be made in a folder, which need not exist."""
    while not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir():
        raise UserError(f"--out {out} cannot be written: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"--out {out} cannot be written: no permission to write to {folder}")
