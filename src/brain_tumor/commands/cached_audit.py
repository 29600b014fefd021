"""Audits of the commands, kept for the next run: images that were audited already are not compared again."""

import hashlib
import importlib.metadata
import io
import json
import logging
import os
import re
import shutil
from pathlib import Path

import pandas as pd

import brain_tumor
from brain_tumor.audit.audit import audit_images
from brain_tumor.audit.inspection import ReadFile
from brain_tumor.core.outputs import atomic_outputs, write_csv, write_json
from brain_tumor.core.tables import read_table
from brain_tumor.training.provenance import fingerprint_folder

log = logging.getLogger(__name__)
ROOMS = ("audit", "imaging")  # whose code an audit's result depends on
LIBRARIES = ("faiss-cpu", "numpy", "opencv-python-headless", "pandas", "pillow", "scipy")
MAX_ENTRIES = 20  # the oldest ones are deleted
NUMBERS = {"table": ("width", "height"), "links": ("distance", "correlation")}
ENTRY = re.compile("[0-9a-f]{64}")  # name of a kept audit
NOT_KEPT = "the result is not kept for the next run"
DIGEST = "sha256.json"  # file of an entry, with the hashes of its tables


def cache_folder() -> Path:
    """Return the folder of kept audits: AUDIT_CACHE of the environment, or one in the user's folder of caches."""
    if folder := os.environ.get("AUDIT_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "brain-tumor-mri/audits"


def audit_once(
    index: pd.DataFrame, read_file: ReadFile, title: str, use_cache: bool = True
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the audit of images: the one of an earlier run if its images and this program were the same.

    Args:
        index, read_file, title: see `audit.audit_images`. The result depends only on `index`, which has the hash of
            each file, on the code and on the libraries.
        use_cache: read and keep results in `cache_folder`; it has the tables of `audit_images`, and no image.
    """
    if not use_cache:
        return audit_images(index, read_file, title)
    try:
        entry = cache_folder() / _make_key(index)
    except (RuntimeError, importlib.metadata.PackageNotFoundError) as error:  # a user without home; another build
        log.warning("%s: %s", NOT_KEPT, error)
        return audit_images(index, read_file, title)
    if (kept := _read_entry(entry)) is not None:
        log.info("these images were audited before: the result is that of %s", entry)
        return kept
    table, links = audit_images(index, read_file, title)
    try:
        entry.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # tables may name patients
        with atomic_outputs(entry) as (folder,):
            folder.mkdir()
            write_csv(folder / "table.csv", table)
            write_csv(folder / "links.csv", links)
            write_json(folder / DIGEST, {name: _hash_file(folder / f"{name}.csv") for name in NUMBERS})
        _delete_oldest(entry.parent)
    except OSError as error:
        log.warning("%s: %s", NOT_KEPT, error)
    return table, links


def _read_entry(entry: Path) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return a kept audit, None if there is none, or if it is damaged or being deleted by another run."""
    try:
        contents = {name: (entry / f"{name}.csv").read_bytes() for name in NUMBERS}
        digests = json.loads((entry / DIGEST).read_text(encoding="utf-8"))
        os.utime(entry)  # the oldest entries are those that were not used for the longest time
    except (OSError, ValueError):
        return None
    if digests != {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}:
        log.warning("%s is damaged, and is made again", entry)
        return None
    table, links = (read_table(io.BytesIO(contents[name]), numbers=NUMBERS[name]) for name in NUMBERS)
    return table.assign(conflict=table["conflict"] == "True"), links


def _hash_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _make_key(index: pd.DataFrame) -> str:
    """Return a hash of all that an audit depends on."""
    code = {room: fingerprint_folder(Path(brain_tumor.__file__).parent / room) for room in ROOMS}
    versions = {library: importlib.metadata.version(library) for library in LIBRARIES}
    parts = json.dumps([code, versions, list(index)]) + "\n" + index.to_csv(index=False)
    return hashlib.sha256(parts.encode(errors="surrogatepass")).hexdigest()


def _delete_oldest(folder: Path) -> None:
    """Delete the oldest entries of a folder; all else in it is not touched, since AUDIT_CACHE may name any folder."""
    own = [path for path in folder.iterdir() if ENTRY.fullmatch(path.name) and (path / DIGEST).exists()]
    entries = sorted(own, key=lambda path: path.stat().st_mtime)
    for path in entries[:-MAX_ENTRIES]:
        shutil.rmtree(path, ignore_errors=True)
