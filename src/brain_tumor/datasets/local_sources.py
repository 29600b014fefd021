"""A record of the local files that a data set is read from, so that DVC notices when one of them is replaced.

DVC does not know the folders of DATA_ARCHIVES. The record holds sizes and SHA-256 sums and nothing of the machine, so
it is the same wherever the same files are. What is not on this machine keeps its entry: results that were made
elsewhere stay up to date. Only light modules are imported, since records are made at each `dvc repro`.
"""

import errno
import hashlib
import json
import logging
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from brain_tumor.core.errors import UserError
from brain_tumor.imaging.formats import is_hidden
from brain_tumor.local_files import find_local_file, find_local_folder, find_problem, walk_files

log = logging.getLogger(__name__)

# A file may change twice within a tick of its file system's clock (FAT has the longest), and keep its time.
CLOCK_TICK_SECONDS = 2.0
LARGE_FILE_BYTES = 100_000_000  # reading it takes long enough for a log line

LocalFiles = Mapping[str, Mapping[str, Mapping[str, Path | None]]]  # by block of params.yaml, reader and name


def update_record(record: Path, files: LocalFiles, cache: Path) -> None:
    """Write what the local files of the data sets contain; a record that says so already is not touched.

    The record is a JSON object with the keys of `files`, and by the name of each file or folder `bytes` and `sha256`,
    for a folder also `files`. A data set that was never read from local files has {}. A file that cannot be read keeps
    its entry, with a warning: only a download of its data set needs it.

    Args:
        record: path of the record; a new version replaces the old one in one step.
        files: see `find_local_files`.
        cache: path of a file with the SHA-256 sums of known files, so that unchanged files are not read again.

    Raises:
        UserError: DATA_ARCHIVES names something that is not a folder, or `record` is not JSON.
    """
    for path in (record, cache):
        _partial(path).unlink(missing_ok=True)  # left by a killed run
    before, hashes = _read_record(record), FileHashes(cache)
    after: dict[str, dict[str, Any]] = {}
    for block, readers in files.items():
        after[block] = {}
        for reader, paths in readers.items():
            known = _entries(before, block, reader)
            found = {name: _describe(path, known.get(name), hashes) for name, path in paths.items()}
            after[block][reader] = {name: content for name, content in found.items() if content is not None}
    hashes.save()
    if after != before or not record.exists():
        _replace_text(record, json.dumps(after, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def find_local_files(datasets: Any, localization: Any) -> LocalFiles:
    """Search for the files and folders that data sets and the study `localization` are read from.

    Args:
        datasets, localization: these blocks of params.yaml; wrong types are left to those that check them.

    Returns:
        `datasets`: by data set the path of each name, None for what is not on this machine; `localization`: the same by
        recipe for its masks.

    Raises:
        UserError: DATA_ARCHIVES names something that is not a folder.
    """
    blocks = datasets if isinstance(datasets, dict) else {}
    sources = {str(name): block.get("source") if isinstance(block, dict) else None for name, block in blocks.items()}
    recipes = localization.get("recipes") if isinstance(localization, dict) else None
    entries = [one for one in recipes if isinstance(one, dict)] if isinstance(recipes, list) else []
    return {
        "datasets": {name: _find_sources(source) for name, source in sources.items() if isinstance(source, dict)},
        "localization": {
            str(entry.get("name")): {name: find_local_file(name) for name in _names([entry.get("masks")])}
            for entry in entries
        },
    }


def _find_sources(source: Mapping[str, Any]) -> dict[str, Path | None]:
    """Search for the files of a data set; a folder is searched for in the repository first, as by the download."""
    folder = source.get("path")
    return {name: (find_local_folder if name == folder else find_local_file)(name) for name in local_names(source)}


def local_names(source: Mapping[str, Any]) -> list[str]:
    """Return the names that a source searches for on the local disk; none for generated images.

    All are searched for in the folders of DATA_ARCHIVES, `path` in the repository first. The sources are not imported,
    which would take longer than everything else here: a test compares the names with those that they search for.
    """

    def generate() -> Iterator[Any]:
        if isinstance(handle := source.get("handle"), str):
            yield handle.split("/")[-1] + ".zip"
        if {"workspace", "project", "version"} <= source.keys():
            yield f"{source['workspace']}-{source['project']}-v{source['version']}.zip"
        files = source.get("files")
        yield from files if isinstance(files, list) else []
        yield from (source.get(key) for key in ("file", "path", "masks"))

    return _names(generate())


def _names(values: Iterable[Any]) -> list[str]:
    return [value for value in values if isinstance(value, str) and value]


def _describe(path: Path | None, known: Any, hashes: "FileHashes") -> Any:
    """Return what a file or folder contains; `known`, its entry so far, if it is not here or cannot be read."""
    if path is None:
        return known
    try:
        content = hashes.describe_folder(path) if path.is_dir() else hashes.describe_file(path)
    except UserError as error:
        log.warning("%s", error)
        return known
    if content != known:
        log.info("%s %s", path, "is new" if known is None else "has changed")
    return content


def _entries(record: Mapping[str, Any], block: str, reader: str) -> Mapping[str, Any]:
    """Return the entries of one reader in a record, none if it is not there."""
    readers = record.get(block)
    entries = readers.get(reader) if isinstance(readers, dict) else None
    return entries if isinstance(entries, dict) else {}


class FileHashes:
    """SHA-256 sums of files; a file is read again only if its size, times or inode have changed."""

    def __init__(self, cache: Path) -> None:
        """Read the sums of earlier runs from `cache`; if that is impossible, there are none."""
        self._cache = cache
        self._known: dict[str, Any] = {}
        self._used: dict[str, list[Any]] = {}
        try:
            known = json.loads(cache.read_text(encoding="utf-8"))
            self._known = known if isinstance(known, dict) else {}
        except (OSError, ValueError):
            pass

    def describe_file(self, path: Path) -> dict[str, Any]:
        """Return `bytes` and `sha256` of a file; raises a UserError if it cannot be read."""
        try:
            size, sha256 = self._hash(path)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from None
        return {"bytes": size, "sha256": sha256}

    def describe_folder(self, folder: Path) -> dict[str, Any]:
        """Return `files`, `bytes` and `sha256` of the files below a folder that are not hidden.

        A file that cannot be read has the reason instead of a sum: the download decides whether that is an error.
        """
        paths = {path.relative_to(folder).as_posix(): path for path in walk_files(folder)}
        names = sorted(name for name in paths if not is_hidden(name))
        digest, total = hashlib.sha256(), 0
        for name in names:
            try:
                size, content = self._hash(paths[name])
            except OSError:
                size, content = 0, find_problem(paths[name])
            digest.update(os.fsencode(name) + b"\0" + content.encode() + b"\0")
            total += size
        return {"bytes": total, "files": len(names), "sha256": digest.hexdigest()}

    def save(self) -> None:
        """Write the sums of the described files; if there are none, those of earlier runs are kept."""
        if self._used and self._used != self._known:
            _replace_text(self._cache, json.dumps(self._used))

    def _hash(self, path: Path) -> tuple[int, str]:
        """Return size and SHA-256 sum; raises an OSError if it is not a regular file or cannot be read."""
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        key = str(path.absolute())
        state = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        known = self._known.get(key)
        if isinstance(known, list) and known[:-1] == state:
            self._used[key] = known
            return status.st_size, str(known[-1])
        if status.st_size >= LARGE_FILE_BYTES:
            log.info("reading %s (%.1f GB) to see whether it has changed", path, status.st_size / 1e9)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > CLOCK_TICK_SECONDS * 1e9:
            self._used[key] = [*state, sha256]
        return status.st_size, sha256


def _read_record(record: Path) -> dict[str, Any]:
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{record} is not valid: restore it with `git checkout {record}`, or delete it")
    return content


def _replace_text(path: Path, text: str) -> None:
    """Write a file; its old version exists until the new one is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _partial(path).write_text(text, encoding="utf-8", newline="\n")
    _partial(path).replace(path)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")
