"""Check that code, parameters and lock files agree. Needs no data.

Stages with a lock entry must be up to date. Stages without one (recipes that were never run) are not checked, nor are
those that run each time.

usage: python tools/check_stale.py [--drop]

--drop: delete the lock entries of stages that do not exist any more, instead of checking.
"""

import json
import re
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from dvc_lock import parse_lock
from dvc_output import ALWAYS_RUN, stages_run
from merge_conflicts import PAGE, require_no_conflicts

ADVICE = (
    "Run `dvc repro` and commit the lock files "
    "(or `dvc checkout --allow-missing`, if results of another commit are here)."
)
DROP = "python tools/check_stale.py --drop"


def main() -> None:
    """Exit with the names of stale stages and the files that changed, if there are any."""
    require_no_conflicts()
    targets, orphans = lock_entries()
    if "--drop" in sys.argv[1:]:
        for lock, names in orphans.items():
            drop_entries(lock, names)
            print(f"{lock}: deleted {', '.join(names)}")
        return
    targets = ["dvc.yaml", *targets]  # always checked: what plain `dvc repro` builds
    status, output = dvc("repro", "--dry", "--allow-missing", *targets)
    stale = [f"Running stage '{name}'" for name in stages_run(output)]
    stale += [line for line in output.splitlines() if line.startswith("ERROR")]
    if status or stale:
        sys.exit(
            "\n".join(["Stale:", *(stale or [output]), *changed_files(targets), *describe_orphans(orphans), ADVICE])
        )
    if orphans:
        sys.exit("\n".join(describe_orphans(orphans)))
    print(f"{len(targets)} stages are up to date.")


def lock_entries() -> tuple[list[str], dict[Path, list[str]]]:
    """Return the stages with a lock entry, and the lock entries without a stage by lock file."""
    status, output = dvc("stage", "list", "--all", "--fail", "--name-only")
    if status:  # params.yaml or a dvc.yaml is not valid: without the list, every entry would be without a stage
        sys.exit(f"DVC cannot list the stages:\n{output}")
    stages = set(output.splitlines())
    targets: list[str] = []
    orphans: dict[Path, list[str]] = {}
    for lock in sorted(Path("stages").rglob("dvc.lock")):
        try:
            entries = parse_lock(lock.read_text(encoding="utf-8"))["stages"]
        except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError) as error:
            problem = str(getattr(error, "problem_mark", "") or type(error).__name__).strip()
            sys.exit(
                f"{lock} is not a valid lock file ({problem}): run python tools/repair_dvc_state.py, or see {PAGE}"
            )
        for name in entries:
            target = f"{lock.with_name('dvc.yaml')}:{name}"
            if target in stages:
                targets += [] if target.startswith(ALWAYS_RUN) else [target]
            else:
                orphans.setdefault(lock, []).append(name)
    return targets, orphans


def describe_orphans(orphans: Mapping[Path, Sequence[str]]) -> Iterator[str]:
    """Describe the lock entries without a stage, and how to delete them."""
    for lock, names in orphans.items():
        yield (
            f"{lock} has entries of stages that do not exist any more, such as those of a recipe that was removed: "
            f"{', '.join(names)}"
        )
    if orphans:
        yield f"Delete them with `{DROP}`."


def drop_entries(lock: Path, names: Collection[str]) -> None:
    """Delete entries from a lock file and leave every other line as it is."""
    head, *entries = re.split(r"^(?=  \S)", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    kept = [entry for entry in entries if entry.split(":\n")[0].strip() not in names]
    if kept:
        lock.write_text(head + "".join(kept), encoding="utf-8")
    else:
        lock.unlink()


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
    return result.returncode, result.stdout + (result.stderr if args[0] == "repro" or result.returncode else "")


if __name__ == "__main__":
    main()
