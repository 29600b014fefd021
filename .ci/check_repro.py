"""After `make repro` in a fresh clone: a second run does nothing, and what precedes training hashes as committed.

Training itself is not compared: on another type of CPU sums may differ in the last bit.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

LOCK = "stages/dvc.lock"
BEFORE_TRAINING = ("download", "audit", "weights", "enhance", "split")


def main() -> None:
    """Exit with a message if one of the two does not hold."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    again = _run("dvc", "repro", PATH=path)
    if "Running stage" in again:
        sys.exit(f"a second `dvc repro` ran something:\n{again}")
    committed = _outs(_run("git", "show", f"HEAD:{LOCK}"))
    here = _outs(Path(LOCK).read_text())
    # The lock also has entries of recipes that were not made here: they prove nothing.
    same = {
        name: outs
        for name, outs in here.items()
        if name.split("@")[0] in BEFORE_TRAINING and all(Path(path).exists() for path in outs)
    }
    differ = [name for name, outs in same.items() if committed.get(name) != outs]
    if differ or not same:
        sys.exit(f"not the hashes that {LOCK} promises: {', '.join(differ) or 'nothing ran'}")
    print(f"{len(same)} stages before training hash as committed; a second run did nothing")


def _run(*words: str, **env: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, env=os.environ | env).stdout


def _outs(lock: str) -> dict[str, Any]:
    stages = YAML(typ="safe", pure=True).load(lock)["stages"]
    return {name: {out["path"]: out["md5"] for out in stage["outs"]} for name, stage in stages.items()}


if __name__ == "__main__":
    main()
