"""Check `make repro` in a fresh clone: a second run does nothing, and stages before training give the committed hashes.

Training is not compared: on another type of CPU, sums may differ in the last bit.
"""

import os
import subprocess
import sys
from pathlib import Path

from dvc_lock import parse_lock

LOCK = "stages/dvc.lock"
STAGES_BEFORE_TRAINING = ("download", "audit", "weights", "preprocess", "split")


def main() -> None:
    """Exit with a message if a check fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    second_run = run("dvc", "repro", PATH=path)
    if "Running stage" in second_run:
        sys.exit(f"A second `dvc repro` ran stages:\n{second_run}")
    committed = read_hashes(run("git", "show", f"HEAD:{LOCK}"))
    # The lock file also has stages of recipes that were not run here. Their outputs are missing and prove nothing.
    reproduced = {
        stage: hashes
        for stage, hashes in read_hashes(Path(LOCK).read_text(encoding="utf-8")).items()
        if stage.split("@")[0] in STAGES_BEFORE_TRAINING and all(Path(output).exists() for output in hashes)
    }
    if not reproduced:
        sys.exit(f"No stage before training has outputs here, so nothing can be compared with {LOCK}.")
    if different := [stage for stage, hashes in reproduced.items() if committed.get(stage) != hashes]:
        sys.exit(f"Stages with other hashes than {LOCK} has at HEAD: {', '.join(different)}")
    print(f"{len(reproduced)} stages before training have the committed hashes; a second run did nothing.")


def run(*command: str, **env: str) -> str:
    """Run a command; return its standard output."""
    return subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | env).stdout


def read_hashes(lock: str) -> dict[str, dict[str, str]]:
    """Return the MD5 hash of each output, by stage and path."""
    stages = parse_lock(lock)["stages"]
    return {name: {out["path"]: out["md5"] for out in stage.get("outs", [])} for name, stage in stages.items()}


if __name__ == "__main__":
    main()
