"""Results of a benchmark: a CSV file named after the machine and the versions of the libraries."""

import os
from importlib.metadata import version
from pathlib import Path

import pandas as pd


def save_table(table: pd.DataFrame, name: str, *packages: str) -> None:
    """Print a table and write it to benchmarks/results/."""
    print(table.to_string(index=False))
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown-cpu")
    versions = [f"{package}-{version(package)}" for package in packages]
    title = " ".join([name, f"{len(os.sched_getaffinity(0))}x", cpu, *versions])
    out = Path(__file__).parent / "results" / ("-".join(title.replace("(R)", "").replace("@", "").split()) + ".csv")
    out.parent.mkdir(exist_ok=True)
    table.to_csv(out, index=False)
    print(f"written to {out}")
