"""Repair DVC's own files after DVC was killed while writing them.

DVC writes neither its rwlock nor its lock files atomically. A corrupted rwlock blocks every later run. So does a
corrupted `dvc.lock`, or it has silently lost its last entries. Taking Git's version loses nothing: the results of later
runs are in DVC's run cache and are found there. Prints what was repaired.
"""

import json
import subprocess
import sys
from pathlib import Path

import yaml
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from voluptuous import Invalid

from dvc_lock import parse_lock

RWLOCK = Path(".dvc/tmp/rwlock")
HASH_KEYS = ("md5", "etag", "checksum")  # of local files, of files on servers


def main() -> None:
    """Check the rwlock and the lock files that Git tracks."""
    try:
        json.loads(RWLOCK.read_text() if RWLOCK.exists() else "{}")
    except ValueError:
        RWLOCK.unlink()
        print(f"Removing {RWLOCK}: a killed run left it unreadable.")
    for name in filter(None, git("ls-files", "-z", "--", "dvc.lock", "*/dvc.lock").split("\0")):
        if not Path(name).exists():
            continue
        # A killed run may have cut a character in two.
        text, tracked = Path(name).read_text("utf-8", "replace"), git("show", f":{name}")
        # Parsing takes time, and most lock files are as in Git. Compared with Git's index, so that entries can be
        # deleted on purpose (and `git add` run).
        if text != tracked and not is_complete(text, tracked):
            git("checkout", "--", name)
            print(f"Restoring {name} from Git: a killed run left it unreadable or without its last entries.")


def is_complete(text: str, tracked: str) -> bool:
    """Return whether a lock file is valid, has all stages of the tracked one, and has a hash for each file."""
    if not text.endswith("\n"):
        return False
    try:
        lock, expected = (COMPILED_LOCKFILE_SCHEMA(parse_lock(content)) for content in (text, tracked))
    except (yaml.YAMLError, Invalid):
        return False
    stages = lock.get("stages", {})
    files = [file for stage in stages.values() for file in (*stage.get("deps", []), *stage.get("outs", []))]
    return set(expected.get("stages", {})) <= set(stages) and all(any(map(file.get, HASH_KEYS)) for file in files)


def git(*args: str) -> str:
    """Run Git; return its standard output, or exit with its error."""
    result = subprocess.run(["git", *args], capture_output=True, text=True)
    if result.returncode:
        sys.exit(result.stderr)
    return result.stdout


if __name__ == "__main__":
    main()
