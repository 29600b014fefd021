"""Check whether this machine computes the bytes of tools/fingerprints.json, which the committed results come from.

Names what differs, and exits with 1 if a shipped recipe with portable numerics depends on it. Takes less than a minute
and needs no data.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from brain_tumor.core.cli import PARAMS, run_cli
from brain_tumor.core.params import read_params
from brain_tumor.models import runtime
from brain_tumor.models.numerics import describe_numerics, find_difference
from brain_tumor.training.recipe import TrainParams
from byte_fingerprints import CPU, compute_fingerprints

FILE = Path(__file__).parent / "fingerprints.json"
RECIPE = "quickstart"
# Networks that no shipped recipe with portable numerics uses. On some CPUs they differ: docs/reproducibility.md.
OTHER_NETWORKS = ("resnet50", "vit_tiny_patch16_224")
LIBRARIES = (
    "faiss-cpu", "matplotlib", "numpy", "onnxruntime", "opencv-python-headless", "pandas", "pillow", "scikit-image",
    "scikit-learn", "scipy", "timm", "torch",
)  # fmt: skip


def main() -> None:
    """Compute the fingerprints, and compare them with the committed ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write the fingerprints of this machine to {FILE.name}")
    write = parser.parse_args().write
    params = read_params(PARAMS, f"recipes.{RECIPE}.train", TrainParams)
    versions = {library: version(library) for library in LIBRARIES}
    expected = {"versions": versions} if write else json.loads(FILE.read_text(encoding="utf-8"))
    if changed := [name for name in LIBRARIES if versions[name] != expected["versions"][name]]:
        sys.exit(f"{FILE.name} is of other versions of {', '.join(changed)} than those installed: bytes may differ.")
    os.environ["DEVICE"] = "cpu"
    runtime.setup_device(params.numerics)
    if write and (reason := find_difference()):
        sys.exit(f"{FILE.name} is not written: {reason}")
    fingerprints = compute_fingerprints(params)
    if write:
        FILE.write_text(
            json.dumps({"versions": versions, "fingerprints": fingerprints}, indent=1) + "\n", encoding="utf-8"
        )
        print(f"{FILE}: {len(fingerprints)} fingerprints written")
        return
    names = list(dict.fromkeys([*expected["fingerprints"], *fingerprints]))
    different = [name for name in names if fingerprints.get(name) != expected["fingerprints"].get(name)]
    numerics = describe_numerics(params.numerics, CPU)
    if not different:
        print(f"All {len(names)} fingerprints are the committed ones: this machine gives the same bytes ({numerics}).")
        return
    print(f"{report(names, different)}\nNumerics of this machine: {numerics}. See docs/reproducibility.md.")
    if any(group_of(name) not in OTHER_NETWORKS for name in different):
        sys.exit("The results of shipped recipes will differ from the committed ones.")
    print("No shipped recipe with portable numerics depends on what differs.")


def report(names: Sequence[str], different: Sequence[str]) -> str:
    """Report by group how many fingerprints differ, and the first that does; `names` are in order of computation."""
    lines = [f"{len(different)} of {len(names)} fingerprints differ from the committed ones:"]
    for group in dict.fromkeys(map(group_of, names)):
        members = [name for name in different if group_of(name) == group]
        lines.append(f"  {group}: {f'{len(members)} differ, first: {members[0]}' if members else 'same'}")
    return "\n".join(lines)


def group_of(name: str) -> str:
    """Return the group of a fingerprint: `resnet50` of `resnet50, step 2: weights`."""
    return name.split(":")[0].split(", step")[0]


if __name__ == "__main__":
    run_cli(main)
