"""params.yaml: read as DVC reads it, strictly; and the repository's own, whole."""

import importlib
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from brain_tumor.backbones import BackboneParams
from brain_tumor.datasets import About, Expected
from brain_tumor.enhance import EnhanceParams
from brain_tumor.errors import UserError
from brain_tumor.evaluation import EvaluateParams
from brain_tumor.explain import ExplainParams
from brain_tumor.external import ExternalParams
from brain_tumor.params import Block, read
from brain_tumor.split import SplitParams
from brain_tumor.training import TrainParams
from export import ExportParams
from permuted import PermutedParams
from refit import CrossvalParams

PARAMS = Path(__file__).parents[1] / "params.yaml"
STUDIES: dict[str, Any] = {
    "external": ExternalParams,
    "crossval": CrossvalParams,
    "permuted": PermutedParams,
    "seeds": Any,
    "protocol": Any,
}
WHOLE = {name: read(PARAMS, name, dict[str, Any]) for name in ("datasets", "backbones", "recipes")}
BLOCKS: dict[str, type[Block]] = {
    "enhance": EnhanceParams,
    "split": SplitParams,
    "train": TrainParams,
    "evaluate": EvaluateParams,
    "explain": ExplainParams,
    "export": ExportParams,
}


class Inner(Block):
    epochs: int
    rate: float = 0.1


class Outer(Block):
    inner: Inner
    names: tuple[str, ...] = ()


def file(tmp_path: Path, text: str) -> Path:
    (tmp_path / "params.yaml").write_text(text)
    return tmp_path / "params.yaml"


def test_yaml_is_read_as_version_1_2(tmp_path: Path) -> None:
    path = file(tmp_path, "o:\n  inner: {epochs: 3, rate: 2e-05}\n  names: [no, yes, on]\n")
    assert read(path, "o", Outer) == Outer(inner=Inner(epochs=3, rate=2e-05), names=("no", "yes", "on"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("o: {inner: {epochs: 3, epoch: 4}}", "unknown key o.inner.epoch: did you mean 'epochs'"),
        ("o: {inner: {epochs: 3}, extra: 4}", "unknown key o.extra"),
        ("o: {inner: {epochs: '3'}}", "o.inner.epochs: Input should be a valid integer (found '3')"),
        ("o: {inner: {epochs: 3.5}}", "o.inner.epochs"),
        ("o: {inner: {}}", "o.inner.epochs: Field required"),
        ("oo: {}", "the top level has no key 'o': did you mean 'oo'"),
        ("", "the top level has no key 'o' (known: none)"),
        ("o: {inner: {epochs: 3}, names: x}", "o.names: Input should be a valid array"),
        ("o: [", "not valid YAML"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UserError, match=re.escape(says)):
        read(file(tmp_path, text), "o", Outer)


def test_a_key_missing_further_down_names_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape("o.inner has no key 'epoch': did you mean 'epochs'")):
        read(file(tmp_path, "o: {inner: {epochs: 3}}"), "o.inner.epoch", int)


@pytest.mark.parametrize("text", ["o: {inner: {epochs: 2026-01-01}}", "{2024: {}}"])
def test_dates_and_numbers_as_keys_are_errors_with_a_message(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError):
        read(file(tmp_path, text), "o", Outer)


def test_values_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Inner(epochs=3).epochs = 4  # type: ignore[misc]


def test_missing_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run from the root of the repository"):
        read(tmp_path / "params.yaml", "o", Outer)


def test_nothing_else_is_in_the_file() -> None:
    assert set(YAML(typ="safe", pure=True).load(PARAMS)) == {*WHOLE, *STUDIES}


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_fits(study: str) -> None:
    read(PARAMS, study, STUDIES[study])
    for recipe in read(PARAMS, f"{study}.recipes", list[Any]):
        if study == "external":
            assert recipe in WHOLE["recipes"]
        else:
            assert WHOLE["recipes"][recipe["name"]]["backbone"] == recipe["backbone"]


@pytest.mark.parametrize("name", WHOLE["datasets"])
def test_every_data_set_fits(name: str) -> None:
    assert set(WHOLE["datasets"][name]) == {"source", "expect", "about"}
    module = importlib.import_module(f"brain_tumor.sources.{WHOLE['datasets'][name]['source']['kind']}")
    read(PARAMS, f"datasets.{name}.source", module.Source)
    read(PARAMS, f"datasets.{name}.expect", Expected)
    read(PARAMS, f"datasets.{name}.about", About)


@pytest.mark.parametrize("name", WHOLE["backbones"])
def test_every_backbone_fits(name: str) -> None:
    read(PARAMS, f"backbones.{name}", BackboneParams)


@pytest.mark.parametrize("name", WHOLE["recipes"])
def test_every_recipe_fits(name: str) -> None:
    recipe = WHOLE["recipes"][name]
    assert re.fullmatch("[A-Za-z0-9_-]+", name), "targets of DVC are regular expressions"
    assert set(recipe) - {"published"} == {"dataset", "backbone", "classes", *BLOCKS}
    assert recipe["dataset"] in WHOLE["datasets"]
    assert recipe["backbone"] in WHOLE["backbones"]
    for block, kind in BLOCKS.items():
        read(PARAMS, f"recipes.{name}.{block}", kind)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("recipes.edge.train.optimizer.lr=2e-05", "        lr: 2e-05"),
        ("recipes.quickstart.enhance.operations.1.size=224", "        size: 224"),
        ("recipes.vit-rollout.train.head=softmax", "      head: softmax"),
        ("datasets.navoneel.source.version=2", "      version: 2"),
    ],
)
def test_an_experiment_changes_one_line(tmp_path: Path, override: str, line: str) -> None:
    """`dvc exp run -S` writes the file anew: it must be in the form in which that leaves all other lines alone."""
    path = Path(shutil.copy(PARAMS, tmp_path))
    apply_overrides(str(path), [override])
    before, after = PARAMS.read_text().splitlines(), path.read_text().splitlines()
    assert [new for old, new in zip(before, after, strict=True) if old != new] == [line]
