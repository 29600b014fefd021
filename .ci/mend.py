"""Mend what DVC leaves torn when it is killed while it writes: neither its rwlock nor its lock files come at once.

A torn rwlock stops every later run; a torn dvc.lock does, too, or has silently lost its last entries. Nothing is lost
by taking the one that Git has: what ran since is in DVC's cache of runs and is found there. Prints what it mends.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

RWLOCK = Path(".dvc/tmp/rwlock")


def main() -> None:
    """Look at the rwlock, and at the lock files that Git knows."""
    try:
        json.loads(RWLOCK.read_text() if RWLOCK.exists() else "{}")
    except ValueError:
        RWLOCK.unlink()
        print(f"Removing {RWLOCK}, which a killed run left unreadable.")
    for path in git("ls-files", "-z", "--", "dvc.lock", "*/dvc.lock").split("\0"):
        # What was taken out on purpose is out of Git's index as well, once it is added there.
        if path and Path(path).exists() and not whole(Path(path).read_text(), git("show", f":{path}")):
            git("checkout", "--", path)
            print(f"Taking {path} from Git: a killed run left it unreadable or without its last entries.")


def whole(text: str, known: str) -> bool:
    """Whether a lock file can be read and has every stage that the known one has."""
    if not text.endswith("\n"):
        return False
    try:
        stages, expected = ((YAML(typ="safe").load(each) or {}).get("stages", {}) for each in (text, known))
        return set(expected) <= set(stages) and all(map(_complete, stages.values()))
    except (YAMLError, AttributeError):
        return False


def _complete(stage: Any) -> bool:
    """Whether an entry has a command, and a path and a hash for each file."""
    files = [*stage.get("deps", []), *stage.get("outs", [])]
    return bool(stage.get("cmd")) and all(file.get("path") and file.get("md5") for file in files)


def git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


if __name__ == "__main__":
    main()
