"""Repair DVC's own files after DVC was killed while writing them.

DVC writes neither its rwlock nor its lock files atomically. A corrupted rwlock blocks every later run. So does a
corrupted `dvc.lock`. Taking Git's version loses nothing: the results of later runs are in DVC's run cache and are found
there. Prints what was repaired. Entries that were deleted on purpose are named, and not put back.
"""

import json
import subprocess
import sys
from pathlib import Path

import yaml
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from voluptuous import Invalid

from dvc_lock import parse_lock
from merge_conflicts import require_no_conflicts

RWLOCK = Path(".dvc/tmp/rwlock")
HASH_KEYS = ("md5", "etag", "checksum")  # of local files, of files on servers


def main() -> None:
    """Check the rwlock and the lock files that Git tracks."""
    require_no_conflicts()
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
        if text == tracked:  # most are, and parsing takes time
            continue
        if not is_complete(text, tracked):
            git("checkout", "--", name)
            print(f"Restoring {name} from Git: a killed run left it unreadable or without its last entries.")
        elif deleted := find_deleted(text, tracked):
            print(f"{name} lacks entries that Git has: {', '.join(deleted)}. To put them back: git checkout -- {name}")


def is_complete(text: str, tracked: str) -> bool:
    """Return whether a lock file is valid, has a hash for each file, and does not end within an entry.

    DVC replaces a file piece by piece: a killed run leaves its beginning, in which the last entry has fewer files than
    before. A file that ends with a whole entry is taken for one in which entries were deleted on purpose.
    """
    if not text.endswith("\n"):
        return False
    try:
        lock, expected = (COMPILED_LOCKFILE_SCHEMA(parse_lock(content)) for content in (text, tracked))
    except (yaml.YAMLError, Invalid):
        return False
    stages = lock.get("stages", {})
    files = [file for stage in stages.values() for file in (*stage.get("deps", []), *stage.get("outs", []))]
    if not all(any(map(file.get, HASH_KEYS)) for file in files):
        return False
    before = expected.get("stages", {})
    last = next(reversed(stages), "")
    is_shorter = last in before and len(stages[last].get("outs", [])) < len(before[last].get("outs", []))
    return not (is_shorter and find_deleted(text, tracked))


def find_deleted(text: str, tracked: str) -> list[str]:
    """Return the stages of a valid lock file that another text of it lacks."""
    now, before = (parse_lock(content).get("stages", {}) for content in (text, tracked))
    return [name for name in before if name not in now]


def git(*args: str) -> str:
    """Run Git; return its standard output, or exit with its error."""
    result = subprocess.run(["git", *args], capture_output=True, text=True)
    if result.returncode:
        sys.exit(result.stderr)
    return result.stdout


if __name__ == "__main__":
    main()
