"""The audit beside other tools for duplicates, on the Nickparvar data set: time, leaked test images found, errors.

DATA_ARCHIVES=folder python benchmarks/bench_audit_tools.py

The truth is the table of patients: a test image is leaked if a training image is the same slice of the same series. It
names two thirds of the images and does not come from any of these tools. Each tool is installed from the package index
into an environment of its own in scratch/, and runs once, one after the other.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from machine import save_table

from brain_tumor.core.tables import read_table
from brain_tumor.local_files import find_local_file

ARCHIVE = "brain-tumor-mri-dataset.zip"
SCRATCH = Path("scratch/bench-audit-tools")
# Each program prints the found sets of equal images as JSON: lists of paths. Its argument is the folder of images.
CZKAWKA = """
import json, sys
from czkawka import ImageSimilarity
finder = ImageSimilarity()
finder.set_directories([sys.argv[1]])
finder.set_similarity(10)
print(json.dumps([[str(path) for path in group] for group in finder.find_similar()]))
"""
CLEANVISION = """
import contextlib, json, sys
from cleanvision import Imagelab
with contextlib.redirect_stdout(sys.stderr):
    lab = Imagelab(data_path=sys.argv[1])
    lab.find_issues({"exact_duplicates": {}, "near_duplicates": {}})
kinds = ("exact_duplicates", "near_duplicates")
print(json.dumps([[str(path) for path in group] for kind in kinds for group in lab.info[kind]["sets"]]))
"""


class Tool(NamedTuple):
    """A tool, and how it is run.

    Attributes:
        name, setting: for the table.
        package: requirement for pip, '' for this project.
        command: arguments after the environment's Python; {images} and {out} are paths.
        read_sets: reads the found sets from standard output or from the output path.
    """

    name: str
    setting: str
    package: str
    command: tuple[str, ...]
    read_sets: Callable[[str, Path], list[list[str]]]


def read_output(output: str, out: Path) -> list[list[str]]:
    """Return the sets that a program printed."""
    sets: list[list[str]] = json.loads(output)
    return sets


def read_audit(output: str, out: Path) -> list[list[str]]:
    """Return the duplicates of `brain-tumor audit`."""
    table = read_table(out / "audit.csv")
    return [rows["path"].tolist() for _, rows in table.groupby("duplicate_id") if len(rows) > 1]


def read_imgcheck(output: str, out: Path) -> list[list[str]]:
    """Return the pairs of a test image and the training image of its class that imgcheck matches with it."""
    matches = read_table(out.with_name(f"{out.name}_matches.csv"))
    columns = [matches[name] for name in ("Class", "Test Image", "Closest Train Image")]
    return [
        [f"Testing/{label}/{test}", f"Training/{label}/{train}"] for label, test, train in zip(*columns, strict=True)
    ]


def imgcheck(size: int, threshold: int) -> Tool:
    """Return imgcheck with hashes of size² bits."""
    command = (
        "-m", "imgcheck.cli", "leakage", "--train", "{images}/Training", "--test", "{images}/Testing", "--report",
        "{out}.xlsx", "--formats", "csv", "--rotation-invariant", "--hash-size", str(size), "--threshold",
        str(threshold),
    )  # fmt: skip
    return Tool("imgcheck", f"{size**2} bits, threshold {threshold}", "imgcheck==0.2.1", command, read_imgcheck)


AUDIT = ("-m", "brain_tumor.commands.main", "audit", "{images}", "--out", "{out}")
TOOLS = (
    Tool("brain-tumor audit", "first run", "", (*AUDIT, "--no-cache"), read_audit),
    Tool("brain-tumor audit", "to be kept", "", AUDIT, read_audit),
    Tool("brain-tumor audit", "second run", "", AUDIT, read_audit),
    imgcheck(8, 3),
    imgcheck(16, 8),
    Tool("czkawka", "similarity 10", "czkawka==0.1.2", ("-c", CZKAWKA, "{images}"), read_output),
    Tool("cleanvision", "default", "cleanvision==0.3.7", ("-c", CLEANVISION, "{images}"), read_output),
)


def main() -> None:
    """Run all tools, print their times and findings, and write a CSV file."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    archive = find_local_file(ARCHIVE)
    if archive is None:
        print(f"not compared with other tools: {ARCHIVE} is not in DATA_ARCHIVES")
        return
    images = SCRATCH.absolute() / "images"
    if not images.exists():
        with zipfile.ZipFile(archive) as file:
            file.extractall(images)
    slices = read_slices()
    rows = []
    for tool in TOOLS:
        seconds, cpu, sets = run(tool, images)
        found, confirmed, known = count_leaks(sets, images, slices)
        rows.append((tool.name, tool.setting, seconds, cpu, known, confirmed, found - confirmed))
    columns = ["tool", "setting", "wall_s", "cpu_s", "leaked_known", "leaked_found", "unconfirmed"]
    save_table(pd.DataFrame(rows, columns=columns).round(1), "audit-tools", "faiss-cpu", "opencv-python-headless")


def read_slices() -> dict[str, str]:
    """Return series and slice by path, of the images that the table of patients names."""
    images = read_table("lists/nickparvar.csv")
    named = images[images["slice"] != ""]
    return dict(zip(named["path"], named["series"] + " " + named["slice"], strict=True))


def run(tool: Tool, images: Path) -> tuple[float, float, list[list[str]]]:
    """Run a tool; return seconds of wall time, seconds of processor time, and the sets that it found."""
    python, out = Path(sys.executable), SCRATCH.absolute() / "out"
    if tool.package:
        folder = SCRATCH.absolute() / tool.package
        python = folder / "bin/python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "--quiet", tool.package], check=True)
    arguments = [part.replace("{images}", str(images)).replace("{out}", str(out)) for part in tool.command]
    start, before = time.perf_counter(), os.times()
    environment = os.environ | {"AUDIT_CACHE": str(SCRATCH.absolute() / "kept"), "TQDM_DISABLE": "1"}
    result = subprocess.run([str(python), *arguments], stdout=subprocess.PIPE, text=True, check=True, env=environment)
    after, wall = os.times(), time.perf_counter() - start
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, cpu, tool.read_sets(result.stdout, out)


def count_leaks(sets: list[list[str]], images: Path, slices: dict[str, str]) -> tuple[int, int, int]:
    """Count test images that the table of patients names, and that a tool calls equal to a training image it names.

    Returns:
        Their number; the number of those where one of these training images is the same slice; and the number of test
        images that have such a training image in truth.
    """
    training = {slices[path] for path in slices if path.startswith("Training/")}
    known = sum(slices[path] in training for path in slices if path.startswith("Testing/"))
    partners: dict[str, set[str]] = {}
    for group in sets:
        paths = [relative(path, images) for path in group]
        named = [path for path in paths if path in slices]
        for path in named:
            if path.startswith("Testing/"):
                partners.setdefault(path, set()).update(slices[p] for p in named if p.startswith("Training/"))
    found = {path: others for path, others in partners.items() if others}
    return len(found), sum(slices[path] in others for path, others in found.items()), known


def relative(path: str, images: Path) -> str:
    """Return the path of an image below the folder of images, `/` between folders."""
    return Path(path).resolve().relative_to(images.resolve()).as_posix() if Path(path).is_absolute() else path


if __name__ == "__main__":
    main()
