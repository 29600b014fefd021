"""Mend what DVC leaves torn when it is killed while it writes: neither its rwlock nor its lock files come at once.

A torn rwlock stops every later run; a torn dvc.lock does, too, or has silently lost its last entries. Nothing is lost
by taking the one that Git has: what ran since is in DVC's cache of runs and is found there. Prints what it mends.
"""

import json
import subprocess
import sys
from pathlib import Path

from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from voluptuous import Invalid

RWLOCK = Path(".dvc/tmp/rwlock")
HASHES = ("md5", "etag", "checksum")  # of files here, of files on servers


def main() -> None:
    """Look at the rwlock, and at the lock files that Git knows."""
    try:
        json.loads(RWLOCK.read_text() if RWLOCK.exists() else "{}")
    except ValueError:
        RWLOCK.unlink()
        print(f"Removing {RWLOCK}, which a killed run left unreadable.")
    for name in filter(None, git("ls-files", "-z", "--", "dvc.lock", "*/dvc.lock").split("\0")):
        if not Path(name).exists():
            continue
        # A letter that was cut in two is no reason to stop here.
        text, known = Path(name).read_text("utf-8", "replace"), git("show", f":{name}")
        # Most are as Git has them, and long to parse. What was taken out on purpose is out of Git's index as well, once
        # it is added there.
        if text != known and not whole(text, known):
            git("checkout", "--", name)
            print(f"Taking {name} from Git: a killed run left it unreadable or without its last entries.")


def whole(text: str, known: str) -> bool:
    """Whether DVC can read a lock file, and it has every stage that the known one has, with a hash for each file."""
    if not text.endswith("\n"):
        return False
    try:
        found, expected = (COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(each)) for each in (text, known))
    except (YAMLError, Invalid):
        return False
    stages = found.get("stages", {})
    files = [file for stage in stages.values() for file in (*stage.get("deps", []), *stage.get("outs", []))]
    return set(expected.get("stages", {})) <= set(stages) and all(any(map(file.get, HASHES)) for file in files)


def git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


if __name__ == "__main__":
    main()
