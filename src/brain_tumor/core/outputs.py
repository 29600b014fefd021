"""Writing results: all outs of a stage appear together when it is done, and always as the same bytes."""

import glob
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


@contextmanager
def atomic_outputs(*outs: str | Path) -> Iterator[tuple[Path, ...]]:
    """Write outs completely or not at all.

    Leftovers of interrupted runs are removed first. The block writes to temporary paths in the folders of the outs.
    If it ends without an error, all of them are moved to their final paths; otherwise they are removed, and older
    outs stay as they were.

    Args:
        outs: final paths; each may become a file or a folder. Missing parent folders are created.

    Yields:
        One temporary path per out, in the same order; nothing exists there yet.

    Raises:
        FileNotFoundError: the block ended without an error but did not write every out.
    """
    targets = [Path(out) for out in outs]
    # The process id keeps two simultaneous runs of one stage from writing into each other's files.
    tmp_paths = tuple(target.with_name(f".{target.name}.{os.getpid()}.partial") for target in targets)
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        for leftover in target.parent.glob(f".{glob.escape(target.name)}.*.partial"):
            if not pid_alive(leftover.name.split(".")[-2]):
                remove(leftover)
    try:
        yield tmp_paths
        missing = [str(target) for target, tmp_path in zip(targets, tmp_paths, strict=True) if not tmp_path.exists()]
        if missing:  # checked before anything is moved, so that old and new outs are never mixed
            raise FileNotFoundError(f"nothing was written for {', '.join(missing)}")
        for target, tmp_path in zip(targets, tmp_paths, strict=True):
            remove(target)
            tmp_path.replace(target)
    finally:
        for tmp_path in tmp_paths:
            remove(tmp_path)


def pid_alive(pid: str) -> bool:
    """Return whether a process with this id is running; False if the text is not a process id."""
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    return True


def remove(path: Path) -> None:
    """Delete a file or a folder if it exists; symbolic links are removed, not followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, content: Any, digits: int = 6) -> None:
    """Write JSON with floats rounded to `digits` decimal places, so that noise in the last bits changes no file."""
    text = json.dumps(round_floats(content, digits), indent=2, allow_nan=False, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def write_csv(path: Path, table: pd.DataFrame, digits: int = 6) -> None:
    """Write a table without its index; floats with `digits` significant digits."""
    table.to_csv(path, index=False, float_format=f"%.{digits}g", lineterminator="\n", encoding="utf-8")


def round_floats(content: Any, digits: int) -> Any:
    """Convert nested content to plain Python values with every float rounded; NaN and infinity become None."""
    if isinstance(content, dict):
        return {str(key): round_floats(value, digits) for key, value in content.items()}
    if isinstance(content, list | tuple | np.ndarray):
        return [round_floats(value, digits) for value in content]
    if isinstance(content, np.generic):
        return round_floats(content.item(), digits)
    if isinstance(content, float):
        return round(content, digits) if np.isfinite(content) else None
    return content
