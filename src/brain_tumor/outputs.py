"""Writing results: all outs of a step appear together when it is done, and always as the same bytes."""

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
def staged(*outs: str | Path) -> Iterator[tuple[Path, ...]]:
    """Yield a hidden path beside each of `outs`; move them all into place if the block ends without error.

    A path may become a file or a folder. What an interrupted run left behind is removed at the next one.
    """
    targets = [Path(out) for out in outs]
    # By process, so that two runs of one step at once do not write into each other's files.
    drafts = tuple(target.with_name(f".{target.name}.{os.getpid()}.partial") for target in targets)
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        for left in target.parent.glob(f".{glob.escape(target.name)}.*.partial"):
            if not _runs(left.name.split(".")[-2]):
                remove(left)
    try:
        yield drafts
        missing = [str(target) for target, draft in zip(targets, drafts, strict=True) if not draft.exists()]
        if missing:  # found before anything moves: old outs and new ones are never mixed
            raise FileNotFoundError(f"nothing was written for {', '.join(missing)}")
        for target, draft in zip(targets, drafts, strict=True):
            remove(target)
            draft.replace(target)
    finally:
        for draft in drafts:
            remove(draft)


def _runs(number: str) -> bool:
    """Whether a process of this number is running."""
    try:
        os.kill(int(number), 0)
    except PermissionError:
        return True
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    return True


def remove(path: Path) -> None:
    """Delete a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, content: Any, digits: int = 6) -> None:
    """Write JSON with floats rounded, so that noise in the last bits neither shows nor changes the file."""
    text = json.dumps(rounded(content, digits), indent=2, allow_nan=False, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def write_csv(path: Path, table: pd.DataFrame, digits: int = 6) -> None:
    """Write a table without its index; floats with `digits` significant digits."""
    table.to_csv(path, index=False, float_format=f"%.{digits}g", lineterminator="\n", encoding="utf-8")


def rounded(content: Any, digits: int) -> Any:
    """Return plain Python values with every float rounded; NaN and infinity become None."""
    if isinstance(content, dict):
        return {str(key): rounded(value, digits) for key, value in content.items()}
    if isinstance(content, list | tuple | np.ndarray):
        return [rounded(value, digits) for value in content]
    if isinstance(content, np.generic):
        return rounded(content.item(), digits)
    if isinstance(content, float):
        return round(content, digits) if np.isfinite(content) else None
    return content
