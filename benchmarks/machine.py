"""Where a benchmark's table goes: a CSV file named after the machine and the versions that matter."""

import os
from importlib.metadata import version
from pathlib import Path

import pandas as pd


def save(table: pd.DataFrame, what: str, *packages: str) -> None:
    """Print a table and write it to benchmarks/results/."""
    print(table.to_string(index=False))
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown-cpu")
    versions = [f"{package}-{version(package)}" for package in packages]
    words = " ".join([what, f"{len(os.sched_getaffinity(0))}x", model, *versions])
    out = Path(__file__).parent / "results" / ("-".join(words.replace("(R)", "").replace("@", "").split()) + ".csv")
    out.parent.mkdir(exist_ok=True)
    table.to_csv(out, index=False)
    print(f"written to {out}")
