"""Outs appear together, complete and always as the same bytes, or not at all."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain_tumor.outputs import staged, write_csv, write_json


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
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial/rest").write_text("of a killed run")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").write_text("old")
    with staged(tmp_path / "out") as (out,):
        out.mkdir()
        (out / "new").write_text("new")
    assert [path.name for path in tmp_path.glob("**/*")] == ["out", "new"]


def test_json_has_rounded_numbers_and_no_nan(tmp_path: Path) -> None:
    content = {"a": 0.1 + 0.2, "b": np.float64("nan"), "c": [np.int64(3), np.inf], "d": np.array([1.23456789]), 5: "é"}
    write_json(tmp_path / "x.json", content, digits=4)
    found = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert found == {"a": 0.3, "b": None, "c": [3, None], "d": [1.2346], "5": "é"}


def test_csv_has_rounded_numbers_and_plain_newlines(tmp_path: Path) -> None:
    write_csv(tmp_path / "x.csv", pd.DataFrame({"a": [0.1 + 0.2, 2.0], "b": ["x,y", ""]}))
    assert (tmp_path / "x.csv").read_bytes() == b'a,b\n0.3,"x,y"\n2,\n'
