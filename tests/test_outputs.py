"""Outs appear together, complete and always as the same bytes, or not at all."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain_tumor.outputs import staged, write_csv, write_json

SRC = Path(__file__).parents[1] / "src"


def test_outs_appear_together_at_the_end(tmp_path: Path) -> None:
    with staged(tmp_path / "a/x.txt", tmp_path / "folder") as (file, folder):
        file.write_text("new")
        folder.mkdir()
        (folder / "y").write_text("new")
        assert not (tmp_path / "a/x.txt").exists()
        assert not (tmp_path / "folder").exists()
    assert (tmp_path / "a/x.txt").read_text() == "new"
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["y"]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")

    def fill_the_disk() -> None:
        with staged(tmp_path / "old", tmp_path / "new") as (old, new):
            old.write_text("half")
            new.mkdir()
            raise OSError("disk full")

    with pytest.raises(OSError, match="full"):
        fill_the_disk()
    assert (tmp_path / "old").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_an_out_that_was_forgotten_leaves_all_of_what_was_there(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text("old")
    with pytest.raises(FileNotFoundError), staged(tmp_path / "one", tmp_path / "two") as (one, _):
        one.write_text("new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"one": "old", "two": "old"}


def test_leftovers_of_a_killed_run_and_older_outs_are_replaced(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    left = tmp_path / f".out.{killed.stdout.strip()}.partial"
    left.mkdir()
    (left / "rest").write_text("of a killed run")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").write_text("old")
    with staged(tmp_path / "out") as (out,):
        out.mkdir()
        (out / "new").write_text("new")
    assert [path.name for path in tmp_path.glob("**/*")] == ["out", "new"]


def test_two_runs_at_once_do_not_write_into_each_other(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from brain_tumor.outputs import staged
with staged({str(tmp_path / "out")!r}) as (out,):
    out.write_text(sys.argv[1])
    print("begun", flush=True)
    sys.stdin.readline()
"""

    def start(word: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", code, word]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=SRC)

    runs = [start("one"), start("two")]
    for run in runs:
        assert run.stdout is not None
        assert run.stdout.readline() == "begun\n"
    for run, word in zip(runs, ("one", "two"), strict=True):
        run.communicate("\n")
        assert run.returncode == 0
        assert (tmp_path / "out").read_text() == word
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_json_has_rounded_numbers_and_no_nan(tmp_path: Path) -> None:
    content = {"a": 0.1 + 0.2, "b": np.float64("nan"), "c": [np.int64(3), np.inf], "d": np.array([1.23456789]), 5: "é"}
    write_json(tmp_path / "x.json", content, digits=4)
    found = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert found == {"a": 0.3, "b": None, "c": [3, None], "d": [1.2346], "5": "é"}


def test_csv_has_rounded_numbers_and_plain_newlines(tmp_path: Path) -> None:
    write_csv(tmp_path / "x.csv", pd.DataFrame({"a": [0.1 + 0.2, 2.0], "b": ["x,y", ""]}))
    assert (tmp_path / "x.csv").read_bytes() == b'a,b\n0.3,"x,y"\n2,\n'
