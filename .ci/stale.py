"""Fail where code, parameters and locks disagree: the check of a commit that needs none of its data.

What has been run must be up to date; what never was (a recipe that waits for its data) is not asked for.
"""

import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML


def main() -> None:
    """Ask DVC what it would run of all stages that have a lock entry; exit with 1 if there is anything."""
    targets = []
    for lock in [Path("dvc.lock"), *sorted(Path("stages").rglob("dvc.lock"))]:
        if lock.exists():
            names = YAML(typ="safe", pure=True).load(lock)["stages"]
            targets += [f"{lock.with_name('dvc.yaml')}:{name}" for name in names]
    if not targets:
        sys.exit("no stage has a lock entry: nothing has been run in this repository")
    command = ["dvc", "repro", "--dry", "--allow-missing", *targets]
    done = subprocess.run(command, capture_output=True, text=True)
    output = done.stdout + done.stderr
    stale = [line for line in output.splitlines() if line.startswith(("Running stage", "ERROR"))]
    if done.returncode or stale:
        sys.exit("\n".join(["stale, run `dvc repro` and commit the locks:", *(stale or [output])]))
    print(f"{len(targets)} stages are up to date")


if __name__ == "__main__":
    main()
