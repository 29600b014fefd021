"""Reading params.yaml, and the repository's own file against all schemas."""

import importlib
import os
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from brain_tumor.attribution.cases import ExplainParams
from brain_tumor.core import params
from brain_tumor.core.errors import UserError
from brain_tumor.core.params import Block, read_params
from brain_tumor.datasets.registry import DatasetInfo, ExpectedContent
from brain_tumor.evaluation.evaluate import EvaluateParams
from brain_tumor.export.quality_check import ExportParams
from brain_tumor.preprocessing.operations import PreprocessParams
from brain_tumor.pretrained.weights import BackboneParams
from brain_tumor.reporting.sentences import PRIMARY_FIGURES
from brain_tumor.splits.split import SplitParams
from brain_tumor.studies.label_mapping import ExternalParams
from brain_tumor.studies.params import CrossvalParams, PatientsParams, PermutedParams
from brain_tumor.studies.tumor_masks import LocalizationParams
from brain_tumor.training.recipe import TrainParams

PARAMS = Path(__file__).parents[2] / "params.yaml"
STUDIES: dict[str, Any] = {
    "external": ExternalParams,
    "crossval": CrossvalParams,
    "patients": PatientsParams,
    "permuted": PermutedParams,
    "localization": LocalizationParams,
    "seeds": Any,
    "protocol": Any,
}
WHOLE = {name: read_params(PARAMS, name, dict[str, Any]) for name in ("datasets", "backbones", "recipes")}
BLOCKS: dict[str, type[Block]] = {
    "preprocess": PreprocessParams,
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


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "params.yaml").write_text(text)
    return tmp_path / "params.yaml"


def test_read_params_file_is_yaml_1_2(tmp_path: Path) -> None:
    path = write(tmp_path, "o:\n  inner: {epochs: 3, rate: 2e-05}\n  names: [no, yes, on]\n")
    assert read_params(path, "o", Outer) == Outer(inner=Inner(epochs=3, rate=2e-05), names=("no", "yes", "on"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("o: {inner: {epochs: 3, epoch: 4}}", "unknown key o.inner.epoch: did you mean 'epochs'"),
        ("o: {inner: {epochs: 3}, extra: 4}", "unknown key o.extra"),
        ("o: {inner: {epochs: '3'}}", "o.inner.epochs: Input should be a valid integer (got '3')"),
        ("o: {inner: {epochs: 3.5}}", "o.inner.epochs"),
        ("o: {inner: {}}", "o.inner.epochs: Field required"),
        ("oo: {}", "the top level has no key 'o': did you mean 'oo'"),
        ("", "the top level has no key 'o' (valid keys: none)"),
        ("o: {inner: {epochs: 3}, names: x}", "o.names: Input should be a valid array"),
        ("o: [", "not valid YAML"),
    ],
)
def test_read_params_invalid_block_error_names_the_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        read_params(write(tmp_path, text), "o", Outer)


def test_read_params_missing_inner_key_error_names_its_block(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape("o.inner has no key 'epoch': did you mean 'epochs'")):
        read_params(write(tmp_path, "o: {inner: {epochs: 3}}"), "o.inner.epoch", int)


@pytest.mark.parametrize("text", ["o: {inner: {epochs: 2026-01-01}}", "{2024: {}}"])
def test_read_params_date_as_value_or_number_as_key_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError):
        read_params(write(tmp_path, text), "o", Outer)


def test_read_params_unchanged_file_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []

    class CountingYAML(YAML):
        def load(self, stream: Any) -> Any:
            texts.append(stream)
            return super().load(stream)

    monkeypatch.setattr(params, "YAML", CountingYAML)
    text = f"o: {{inner: {{epochs: 3}}}}  # {tmp_path}"  # never parsed before
    path = write(tmp_path, text)
    assert [read_params(path, key, int) for key in ("o.inner.epochs", "o.inner.epochs")] == [3, 3]
    assert texts == [text]


def test_read_params_file_edited_between_two_reads_gives_new_values(tmp_path: Path) -> None:
    path = write(tmp_path, "o: {inner: {epochs: 3}}")
    stat = path.stat()
    assert read_params(path, "o.inner.epochs", int) == 3
    write(tmp_path, "o: {inner: {epochs: 4}}")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # the worst case: the same size and the same time
    assert read_params(path, "o.inner.epochs", int) == 4


def test_read_params_change_of_a_result_does_not_reach_the_next_one(tmp_path: Path) -> None:
    path = write(tmp_path, "o: {names: [a, b]}")
    read_params(path, "o", dict[str, Any])["names"].append("c")
    assert read_params(path, "o.names", list[str]) == ["a", "b"]


def test_block_assignment_is_an_error() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Inner(epochs=3).epochs = 4  # type: ignore[misc]


def test_read_params_missing_file_error_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run from the root of the repository"):
        read_params(tmp_path / "params.yaml", "o", Outer)


def test_params_yaml_top_level_has_no_unknown_key() -> None:
    assert set(YAML(typ="safe", pure=True).load(PARAMS)) == {*WHOLE, *STUDIES}


@pytest.mark.parametrize("study", STUDIES)
def test_params_yaml_study_fits_its_schema(study: str) -> None:
    read_params(PARAMS, study, STUDIES[study])
    for recipe in read_params(PARAMS, f"{study}.recipes", list[Any]):
        if study == "external":
            assert recipe in WHOLE["recipes"]
        else:
            for key in {"backbone", "dataset"} & set(recipe):
                assert WHOLE["recipes"][recipe["name"]][key] == recipe[key]


@pytest.mark.parametrize("name", WHOLE["datasets"])
def test_params_yaml_data_set_fits_its_schemas(name: str) -> None:
    assert set(WHOLE["datasets"][name]) == {"source", "expected", "patients", "info"}
    module = importlib.import_module(f"brain_tumor.sources.{WHOLE['datasets'][name]['source']['kind']}")
    read_params(PARAMS, f"datasets.{name}.source", module.Source)
    read_params(PARAMS, f"datasets.{name}.expected", ExpectedContent)
    read_params(PARAMS, f"datasets.{name}.info", DatasetInfo)


@pytest.mark.parametrize("name", WHOLE["backbones"])
def test_params_yaml_backbone_fits_its_schema(name: str) -> None:
    read_params(PARAMS, f"backbones.{name}", BackboneParams)


@pytest.mark.parametrize("name", WHOLE["recipes"])
def test_params_yaml_recipe_fits_its_schemas(name: str) -> None:
    recipe = WHOLE["recipes"][name]
    assert re.fullmatch("[A-Za-z0-9_-]+", name), "targets of DVC are regular expressions"
    assert set(recipe) - {"published"} == {"dataset", "backbone", "primary", "classes", *BLOCKS}
    assert recipe["primary"] in PRIMARY_FIGURES
    if "published" in recipe:
        assert set(recipe["published"]) == {
            "accuracy", "title", "author", "url", "measured_on", "protocol", "departures",
        }  # fmt: skip
    assert recipe["dataset"] in WHOLE["datasets"]
    assert recipe["backbone"] in WHOLE["backbones"]
    for block, schema in BLOCKS.items():
        read_params(PARAMS, f"recipes.{name}.{block}", schema)
