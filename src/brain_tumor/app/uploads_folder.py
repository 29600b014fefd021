"""The folder of uploaded files: what is not read soon is removed, also what was cut off and is never asked for."""

import logging
import threading
import time
from pathlib import Path

CLEANING_SECONDS = 10.0  # between two rounds
PARTIAL_SECONDS = 60.0  # since the last write, after which an upload counts as cut off
WAITING_SECONDS = 600.0  # after which a complete file is removed, though it was not read
MAX_FOLDER_BYTES = 2 * 2**30  # above which the oldest files are removed

log = logging.getLogger(__name__)


def remove_stale_uploads(folder: Path) -> None:
    """Remove uploads that were cut off or not read in time, and the oldest ones above MAX_FOLDER_BYTES.

    An upload is written into the folder itself, and moved into a folder of its own when it is complete.
    """
    files = []
    for file in folder.rglob("*"):
        try:
            status = file.stat()
            if not file.is_file():
                continue
            limit = PARTIAL_SECONDS if file.parent == folder else WAITING_SECONDS
            if time.time() - status.st_mtime > limit:
                file.unlink()
            else:
                files.append((status.st_mtime, status.st_size, file))
        except OSError:  # it was read and removed in the meantime
            continue
    total = sum(size for _, size, _ in files)
    for _, size, file in sorted(files):
        if total <= MAX_FOLDER_BYTES:
            break
        file.unlink(missing_ok=True)
        total -= size


def start_cleaning(folder: Path) -> threading.Thread:
    """Remove stale uploads every CLEANING_SECONDS, in a thread that ends with the program."""

    def clean() -> None:
        while True:
            time.sleep(CLEANING_SECONDS)
            try:
                remove_stale_uploads(folder)
            except Exception:  # cleaning goes on
                log.exception("uploads were not cleaned")

    thread = threading.Thread(target=clean, name="cleaning of uploads", daemon=True)
    thread.start()
    return thread
