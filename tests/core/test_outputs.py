"""Atomic outs, and files with the same bytes for the same content."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain_tumor.core.outputs import atomic_outputs, write_csv, write_json

SRC = Path(__file__).parents[2] / "src"


def test_atomic_outputs_success_outs_appear_together_at_the_end(tmp_path: Path) -> None:
    with atomic_outputs(tmp_path / "a/x.txt", tmp_path / "folder") as (file, folder):
        file.write_text("new")
        folder.mkdir()
        (folder / "y").write_text("new")
        assert not (tmp_path / "a/x.txt").exists()
        assert not (tmp_path / "folder").exists()
    assert (tmp_path / "a/x.txt").read_text() == "new"
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["y"]


def test_atomic_outputs_error_keeps_old_outs(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")

    def run_out_of_disk_space() -> None:
        with atomic_outputs(tmp_path / "old", tmp_path / "new") as (old, new):
            old.write_text("half")
            new.mkdir()
            raise OSError("disk full")

    with pytest.raises(OSError, match="full"):
        run_out_of_disk_space()
    assert (tmp_path / "old").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_atomic_outputs_missing_out_keeps_all_old_outs(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text("old")
    with pytest.raises(FileNotFoundError), atomic_outputs(tmp_path / "one", tmp_path / "two") as (one, _):
        one.write_text("new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"one": "old", "two": "old"}


def test_atomic_outputs_leftovers_are_replaced(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    leftover = tmp_path / f".out.{killed.stdout.strip()}.partial"
    leftover.mkdir()
    (leftover / "file").write_text("of a killed run")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").write_text("old")
    with atomic_outputs(tmp_path / "out") as (out,):
        out.mkdir()
        (out / "new").write_text("new")
    assert [path.name for path in tmp_path.glob("**/*")] == ["out", "new"]


def test_atomic_outputs_simultaneous_runs_are_independent(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from brain_tumor.core.outputs import atomic_outputs
with atomic_outputs({str(tmp_path / "out")!r}) as (out,):
    out.write_text(sys.argv[1])
    print("started", flush=True)
    sys.stdin.readline()
"""

    def start(text: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", code, text]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=SRC)

    runs = [start("one"), start("two")]
    for run in runs:
        assert run.stdout is not None
        assert run.stdout.readline() == "started\n"
    for run, text in zip(runs, ("one", "two"), strict=True):
        run.communicate("\n")
        assert run.returncode == 0
        assert (tmp_path / "out").read_text() == text
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_write_json_numbers_are_rounded_and_nan_is_null(tmp_path: Path) -> None:
    content = {"a": 0.1 + 0.2, "b": np.float64("nan"), "c": [np.int64(3), np.inf], "d": np.array([1.23456789]), 5: "é"}
    write_json(tmp_path / "x.json", content, digits=4)
    result = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert result == {"a": 0.3, "b": None, "c": [3, None], "d": [1.2346], "5": "é"}


def test_write_csv_numbers_are_rounded_and_newlines_are_lf(tmp_path: Path) -> None:
    write_csv(tmp_path / "x.csv", pd.DataFrame({"a": [0.1 + 0.2, 2.0], "b": ["x,y", ""]}))
    assert (tmp_path / "x.csv").read_bytes() == b'a,b\n0.3,"x,y"\n2,\n'
