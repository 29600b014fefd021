"""Check `make repro` in a fresh clone: a second run does nothing, and all results are the committed bytes."""

import os
import subprocess
import sys
from pathlib import Path

import compare_with_commit
from dvc_output import stages_run


def main() -> None:
    """Exit with a message if a check fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    second_run = run("dvc", "repro", PATH=path)
    if stages_run(second_run):
        sys.exit(f"A second `dvc repro` ran stages:\n{second_run}")
    # Git tracks metrics, tables of curves, and the lock files, which have the hashes of everything else.
    if changed := run("git", "status", "--porcelain", "--untracked-files=no"):
        compare_with_commit.main()
        sys.exit(f"These files differ from the commit:\n{changed}")
    print("A second run did nothing, and all results are the committed ones.")


def run(*command: str, **env: str) -> str:
    """Run a command; return its standard output."""
    return subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | env).stdout


if __name__ == "__main__":
    main()
