"""Check whether this machine computes the same bytes as the one that made tools/fingerprints.json.

Exits with 1 and names what differs, with the consequence. Takes less than a minute and needs no data.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from brain_tumor.core.cli import PARAMS, run_cli
from brain_tumor.core.params import read_params
from brain_tumor.models import runtime
from brain_tumor.models.numerics import describe_numerics
from brain_tumor.training.recipe import TrainParams
from byte_fingerprints import CPU, compute_fingerprints

FILE = Path(__file__).parent / "fingerprints.json"
RECIPE = "quickstart"


def main() -> None:
    """Compute the fingerprints, and compare them with the committed ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write the fingerprints of this machine to {FILE.name}")
    write = parser.parse_args().write
    params = read_params(PARAMS, f"recipes.{RECIPE}.train", TrainParams)
    runtime.setup_device(params.numerics)
    fingerprints = compute_fingerprints(params)
    versions = {"torch": torch.__version__.split("+")[0], "numpy": np.__version__}
    if write:
        content = {"versions": versions, "fingerprints": fingerprints}
        FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        print(f"{FILE}: {len(fingerprints)} fingerprints written")
        return
    expected = json.loads(FILE.read_text(encoding="utf-8"))
    if expected["versions"] != versions:
        sys.exit(f"{FILE.name} is of {expected['versions']}, this environment has {versions}: bytes may differ.")
    names = list(dict.fromkeys([*expected["fingerprints"], *fingerprints]))
    different = [name for name in names if fingerprints.get(name) != expected["fingerprints"].get(name)]
    numerics = describe_numerics(params.numerics, CPU)
    if different:
        sys.exit(f"{report(names, different)}\nNumerics of this machine: {numerics}. See docs/reproducibility.md.")
    print(f"All {len(names)} fingerprints are the committed ones: this machine gives the same bytes ({numerics}).")


def report(names: Sequence[str], different: Sequence[str]) -> str:
    """Report by group how many fingerprints differ, and the first that does; `names` are in order of computation."""
    lines = [f"{len(different)} of {len(names)} fingerprints differ from the committed ones:"]
    for group in dict.fromkeys(map(group_of, names)):
        members = [name for name in different if group_of(name) == group]
        lines.append(f"  {group}: {f'{len(members)} differ, first: {members[0]}' if members else 'same'}")
    return "\n".join(lines)


def group_of(name: str) -> str:
    """Return the group of a fingerprint: `NumPy float32` of `NumPy float32: exp`."""
    return name.split(":")[0].split(", step")[0]


if __name__ == "__main__":
    run_cli(main)
