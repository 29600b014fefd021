"""Check that code, parameters and lock files agree. Needs no data.

Stages with a lock entry must be up to date. Stages without one (recipes that were never run) are not checked, nor are
those that run each time.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from dvc_lock import parse_lock
from dvc_output import ALWAYS_RUN, stages_run


def main() -> None:
    """Exit with the names of stale stages and the files that changed, if there are any."""
    targets, orphans = lock_entries()
    targets = ["dvc.yaml", *targets]  # always checked: what plain `dvc repro` builds
    status, output = dvc("repro", "--dry", "--allow-missing", *targets)
    stale = [f"Running stage '{name}'" for name in stages_run(output)]
    stale += [line for line in output.splitlines() if line.startswith("ERROR")]
    if status or stale:
        advice = "Run `dvc repro` and commit the lock files (or `dvc checkout`, if results of another commit are here)."
        sys.exit("\n".join(["Stale:", *(stale or [output]), *changed_files(targets), *orphans, advice]))
    if orphans:
        sys.exit("\n".join(orphans))
    print(f"{len(targets)} stages are up to date.")


def lock_entries() -> tuple[list[str], list[str]]:
    """Return the stages with a lock entry, and a message for each lock entry without a stage."""
    stages = set(dvc("stage", "list", "--all", "--name-only")[1].splitlines())
    targets, orphans = [], []
    for lock in sorted(Path("stages").rglob("dvc.lock")):
        for name in parse_lock(lock.read_text(encoding="utf-8"))["stages"]:
            target = f"{lock.with_name('dvc.yaml')}:{name}"
            if target in stages:
                targets += [] if target.startswith(ALWAYS_RUN) else [target]
            else:
                orphans.append(f"{lock}: {name} is not a stage any more. Delete its entry.")
    return targets, orphans


def changed_files(targets: list[str]) -> Iterator[str]:
    """List the changed files and parameters of each stage; missing files do not count."""
    _, output = dvc("status", "--json", *targets)
    for stage, reasons in json.loads(output or "{}").items():
        files: list[str] = []
        for reason in reasons:
            # Either a group such as `changed deps`, with the state of each file, or a text such as `changed command`.
            for states in reason.values() if isinstance(reason, dict) else [{reason: "modified"}]:
                # The state of params.yaml is the state of each of its parameters.
                files += [f for f, state in states.items() if isinstance(state, dict) or state in ("modified", "new")]
        if files:
            yield f"  {stage}: {', '.join(files)}"


def dvc(*args: str) -> tuple[int, str]:
    """Run DVC; return its exit code and what it printed."""
    result = subprocess.run(["dvc", *args], capture_output=True, text=True)
    return result.returncode, result.stdout + (result.stderr if args[0] == "repro" else "")


if __name__ == "__main__":
    main()
