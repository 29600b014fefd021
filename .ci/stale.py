"""Fail where code, parameters and locks disagree: the check of a commit that needs none of its data.

What has been run must be up to date; what never was (a recipe that waits for its data) is not asked for.
"""

import json
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML


def main() -> None:
    """Ask DVC what it would run of all stages that have a lock entry; exit with 1 if there is anything."""
    targets = ["dvc.yaml"]  # what the repository promises in any case
    for lock in sorted(Path("stages").rglob("dvc.lock")):
        names = YAML(typ="safe", pure=True).load(lock)["stages"]
        targets += [f"{lock.with_name('dvc.yaml')}:{name}" for name in names]
    command = ["dvc", "repro", "--dry", "--allow-missing", *targets]
    done = subprocess.run(command, capture_output=True, text=True)
    output = done.stdout + done.stderr
    stale = [line for line in output.splitlines() if line.startswith(("Running stage", "ERROR"))]
    if done.returncode or stale:
        lines = [*(stale or [output]), *changed(targets)]
        # After a `git pull`, what was made of another commit lies here until DVC is told.
        what = "stale, run `dvc repro` and commit the locks (`dvc checkout`, if results of another commit lie here):"
        sys.exit("\n".join([what, *lines]))
    print(f"{len(targets)} stages are up to date")


def changed(targets: list[str]) -> list[str]:
    """What is not as the lock of its stage says, by stage; what is missing here does not count."""
    known = subprocess.run(["dvc", "status", "--json", *targets], capture_output=True, text=True)
    lines = []
    for stage, reasons in json.loads(known.stdout or "{}").items():
        files: list[str] = []
        for reason in reasons:
            # `changed deps` and the like, with the state of each file; or words alone, as `changed command`.
            for found in reason.values() if isinstance(reason, dict) else [{reason: "modified"}]:
                # Of params.yaml the parameters, with theirs.
                files += [f for f, state in found.items() if isinstance(state, dict) or state in ("modified", "new")]
        lines += [f"  {stage}: {', '.join(files)}"] if files else []
    return lines


if __name__ == "__main__":
    main()
