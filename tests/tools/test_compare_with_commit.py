"""The comparison at the end of `make repro`, in a small Git repository with a lock file and metrics."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import compare_with_commit
from project import AUTHOR


def make_stage(deps: dict[str, str], outs: dict[str, str], params: dict[str, Any] | None = None) -> dict[str, Any]:
    stage: dict[str, Any] = {
        kind: [{"path": path, "md5": md5} for path, md5 in files.items()]
        for kind, files in (("deps", deps), ("outs", outs))
    }
    return stage | ({"params": {"params.yaml": params}} if params else {})


def make_lock(model: str = "m1", code: str = "c1", lr: float = 0.1) -> dict[str, Any]:
    return {
        "preprocess@one": make_stage({"data/raw/mine.zip": "z"}, {"data/enhanced/one": "e"}),
        "train@one": make_stage(
            {"data/enhanced/one": "e", "src/models": code}, {"models/one": model}, {"recipes.one.train": {"lr": lr}}
        ),
        "evaluate@one": make_stage({"models/one": model}, {"metrics/one/test.json": f"t {model}"}),
        "report@one": make_stage({"metrics/one/test.json": f"t {model}"}, {"reports/one": f"r {model}"}),
        # Committed, but not run in this folder: its report is not here.
        "report@other": make_stage({}, {"reports/other": "x"}),
    }


def write(accuracy: float, low: float, high: float, **lock: Any) -> None:
    Path("metrics/one").mkdir(parents=True, exist_ok=True)
    block = {"n": 9, "accuracy": accuracy, "interval": {"accuracy": [low, high]}}
    Path("metrics/one/test.json").write_text(json.dumps({"published": block}))
    Path("stages").mkdir(exist_ok=True)
    Path("stages/dvc.lock").write_text(yaml.safe_dump({"stages": make_lock(**lock)}))


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("data/enhanced/one", "models/one", "reports/one"):
        Path(name).mkdir(parents=True)
    write(0.7, 0.6, 0.8)
    for key, value in AUTHOR.items():
        monkeypatch.setenv(key, value)
    for command in ("init -q", "add metrics stages", "commit -qm results"):
        subprocess.run(["git", *command.split()], check=True)


def compare(capsys: pytest.CaptureFixture[str]) -> str:
    compare_with_commit.main()
    return capsys.readouterr().out


def test_compare_same_results(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(capsys) == "Same results as committed: one.\n"


def test_compare_other_bytes_from_the_same_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    write(0.75, 0.65, 0.85, model="m2")
    assert compare(capsys) == (
        "one: accuracy committed 0.700 (0.600–0.800), here 0.750 (0.650–0.850): intervals overlap; differs from "
        "`train@one` on, with the same code, parameters and inputs: this machine computes other bytes: see "
        "docs/reproducibility.md.\n"
    )


def test_compare_changed_inputs_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    write(0.2, 0.1, 0.3, model="m2", code="c2", lr=0.2)
    output = compare(capsys)
    assert "intervals DO NOT OVERLAP; differs from `train@one` on, because these changed" in output
    assert output.endswith(": src/models, params.yaml.\n")


def test_compare_same_accuracy_from_other_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    write(0.7, 0.6, 0.8, model="m2")
    assert "one: same accuracy as committed, 0.700 (0.600–0.800); differs from `train@one` on" in compare(capsys)


def test_compare_recipe_that_is_not_in_the_commit(capsys: pytest.CaptureFixture[str]) -> None:
    lock = {name.replace("one", "new"): stage for name, stage in make_lock().items()}
    Path("stages/dvc.lock").write_text(yaml.safe_dump({"stages": make_lock() | lock}))
    assert compare(capsys) == "new: not in the commit.\n"


def test_compare_nothing_run_here(capsys: pytest.CaptureFixture[str]) -> None:
    Path("reports/one").rmdir()
    assert compare(capsys) == "No recipe has been run here.\n"


def test_compare_only_a_drawing_differs(capsys: pytest.CaptureFixture[str]) -> None:
    lock = make_lock()
    lock["report@one"]["outs"][0]["md5"] = "other"
    Path("stages/dvc.lock").write_text(yaml.safe_dump({"stages": lock}))
    assert "same accuracy as committed, 0.700 (0.600–0.800); differs from `report@one` on" in compare(capsys)


def test_compare_metrics_without_intervals(capsys: pytest.CaptureFixture[str]) -> None:
    write(0.75, 0.65, 0.85, model="m2")
    Path("metrics/one/test.json").write_text(json.dumps({"published": {"accuracy": 0.75}}))
    assert "accuracy committed 0.700 (0.600–0.800), here 0.750; differs from" in compare(capsys)


def test_compare_without_a_lock_file_or_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("stages/dvc.lock").unlink()
    assert compare(capsys) == "Nothing to compare: stages/dvc.lock is missing here.\n"
    empty = tmp_path / "empty"
    empty.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=empty, check=True)
    monkeypatch.chdir(empty)
    assert compare(capsys) == "Nothing to compare with: there is no commit that has stages/dvc.lock.\n"
