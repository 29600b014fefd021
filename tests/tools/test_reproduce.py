"""`make repro RECIPE=…` of a recipe that does not exist."""

import subprocess
import sys
from pathlib import Path

import pytest

import reproduce
from brain_tumor.core.errors import UserError
from project import ROOT

TARGET = "stages/dvc.yaml:report@"


@pytest.mark.parametrize("targets", [[], [f"{TARGET}edge"], ["stages/dvc.yaml:train@edg", "dvc.yaml"]])
def test_require_recipes_existing_recipe_or_other_target_passes(
    monkeypatch: pytest.MonkeyPatch, targets: list[str]
) -> None:
    monkeypatch.chdir(ROOT)
    reproduce.require_recipes(targets)


def test_main_unknown_recipe_ends_before_dvc_with_the_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_text("recipes: {edge: {}, probe: {}}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["reproduce.py", f"{TARGET}edg"])
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("DVC was called"))
    with pytest.raises(SystemExit) as ended:
        reproduce.main()
    message = "error: params.yaml: there is no recipe 'edg' (recipes: edge, probe): did you mean 'edge'?"
    assert ended.value.code == message


def test_require_recipes_missing_file_says_where_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="run from the root of the repository"):
        reproduce.require_recipes([f"{TARGET}edge"])


@pytest.mark.parametrize("name", ["1", "2e5", "overlap", "external", "Patients"])
def test_main_name_that_breaks_a_stage_ends_before_dvc(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params.yaml").write_text(f"datasets: {{}}\nbackbones: {{}}\nrecipes: {{edge: {{}}, {name}: {{}}}}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["reproduce.py"])
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("DVC was called"))
    with pytest.raises(SystemExit) as ended:
        reproduce.main()
    assert str(ended.value.code).startswith("error: params.yaml: recipes: '")


def test_require_names_of_the_repository_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    reproduce.require_names()
