"""The check of the whole params.yaml: each wrong value gives one line, and the committed file gives none."""

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

import check_params as stage
from brain_tumor.core.errors import UserError
from brain_tumor.recipes.blocks import PublishedResult, RecipeBlock
from brain_tumor.recipes.check import Findings, check_params
from brain_tumor.reporting.sentences import PRIMARY_FIGURES, PROTOCOLS
from project import ROOT

COMMITTED = YAML(typ="safe").load(ROOT / "params.yaml")
SCHEMAS = stage.load_schemas()
Path_ = tuple[str | int, ...]


def small_params() -> Any:
    """Part of the committed file: every kind of block, and little to parse."""
    recipes = {name: COMMITTED["recipes"][name] for name in ("quickstart", "vit-rollout", "resnet-gradcam")}
    backbones = {recipe["backbone"] for recipe in recipes.values()}
    names = ("phantom", "navoneel", "nickparvar", "cheng", "m2pbp")
    params = {
        "datasets": {name: COMMITTED["datasets"][name] for name in names},
        "backbones": {name: block for name, block in COMMITTED["backbones"].items() if name in backbones},
        "recipes": recipes,
        "seeds": {"recipes": [{"name": "quickstart", "backbone": "tf_efficientnet_lite0"}], "values": [1]},
        "localization": {"recipes": [{"name": "quickstart", "dataset": "phantom", "masks": "m.zip"}]},
        "external": {"recipes": ["quickstart"], "datasets": ["phantom"]},
    }
    return copy.deepcopy(params)


SMALL = small_params()


def check(folder: Path, params: Any) -> Findings:
    for table in ("none", "nickparvar"):
        (folder / "provenance").mkdir(exist_ok=True)
        (folder / f"provenance/{table}.csv").touch()
    (folder / "params.yaml").write_text(json.dumps(params))
    return check_params(folder / "params.yaml", SCHEMAS)


def changed(*edits: tuple[str, Any]) -> Any:
    """The small file with values replaced, by keys joined by dots."""
    params = small_params()
    for key, value in edits:
        *parents, last = (int(part) if part.isdigit() else part for part in key.split("."))
        block = params
        for part in parents:
            block = block[part]
        block[last] = value
    return params


def leaves(block: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Yield the paths of all values that are neither mappings nor lists."""
    items = block.items() if isinstance(block, Mapping) else enumerate(block)
    for key, value in items:
        if isinstance(value, Mapping | list):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)


CHECKED_LEAVES = [path for path in leaves(SMALL) if path[0] in ("datasets", "backbones", "recipes")]


def test_check_params_committed_file_is_valid() -> None:
    assert check_params(ROOT / "params.yaml", SCHEMAS) == Findings([], [])


def parent_of(params: Any, path: Path_) -> Any:
    """The block or list that holds the value at a path."""
    for part in path[:-1]:
        params = params[part]
    return params


def test_check_params_small_file_is_valid(tmp_path: Path) -> None:
    assert check(tmp_path, SMALL) == Findings([], [])


@settings(max_examples=40)
@given(path=st.sampled_from(CHECKED_LEAVES), junk=st.sampled_from([{"x": 1}, [[]]]))
def test_check_params_value_of_wrong_type_gives_one_line_with_its_key(
    tmp_path_factory: pytest.TempPathFactory, path: Path_, junk: Any
) -> None:
    params = small_params()
    block = parent_of(params, path)
    block[path[-1]] = junk
    (line,) = check(tmp_path_factory.mktemp("p"), params).errors
    key, _, text = line.partition(": ")
    # The discriminator of a union stands for the whole block.
    assert key in (".".join(map(str, path)), ".".join(map(str, path[:-1])))
    assert "should be" in text or path[-1] == "kind"


@settings(max_examples=30)
@given(path=st.sampled_from(CHECKED_LEAVES), name=st.sampled_from(["epoch", "zzz"]))
def test_check_params_unknown_key_gives_one_line(
    tmp_path_factory: pytest.TempPathFactory, path: Path_, name: str
) -> None:
    params = small_params()
    block = parent_of(params, path)
    # Free mappings and lists have no unknown keys.
    if isinstance(block, list) or path[-2] in ("labels", "counts", "splits"):
        return
    block[name] = 1
    (line,) = check(tmp_path_factory.mktemp("p"), params).errors
    assert line.startswith(f"{'.'.join(map(str, path[:-1]))}.{name}: unknown key")


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (
            ("recipes.quickstart.dataset", "phantm"),
            "recipes.quickstart.dataset: there is no data set 'phantm' (data sets: phantom, navoneel, nickparvar, "
            "cheng, m2pbp): did you mean 'phantom'?",
        ),
        (
            ("recipes.quickstart.backbone", "resnet"),
            "recipes.quickstart.backbone: there is no backbone 'resnet' (backbones: tf_efficientnet_lite0, "
            "vit_base_patch16_224, resnet50): did you mean 'resnet50'?",
        ),
        (
            ("recipes.quickstart.classes", ["glioma", "meningioma", "no tumor"]),
            "recipes.quickstart.classes: datasets.phantom has no label 'no tumor' (labels: glioma, meningioma, "
            "notumor, pituitary): did you mean 'notumor'?",
        ),
        (
            ("recipes.quickstart.classes", ["glioma"]),
            "recipes.quickstart.classes: two or more classes are needed (got ['glioma'])",
        ),
        (
            ("recipes.quickstart.classes", ["glioma", "notumor", "glioma"]),
            "recipes.quickstart.classes: 'glioma' is listed 2 times: list each class once",
        ),
        (
            ("recipes.quickstart.primary", "patient"),
            "recipes.quickstart.primary: should be 'patients', 'clean', 'crossval' or 'test' (got 'patient'): did you "
            "mean 'patients'?",
        ),
        (
            ("recipes.quickstart.train.trainable", "heads"),
            "recipes.quickstart.train.trainable: should be 'all' or 'head' or a valid integer (got 'heads'): did you "
            "mean 'head'?",
        ),
        (
            ("recipes.quickstart.train.head", "sigmoid"),
            "recipes.quickstart.train.head: sigmoid is for two classes, but `classes` has 4: use softmax",
        ),
        (
            ("recipes.quickstart.split.validation", 0),
            "recipes.quickstart.split.validation: 0 leaves no validation images, which train.select: loss or "
            "schedule.kind: cosine needs: set it above 0, or train.select: last without plateau",
        ),
        (
            ("recipes.quickstart.preprocess.operations.1.mode", "padd"),
            "recipes.quickstart.preprocess.operations.1.mode: should be 'pad' or 'stretch' (got 'padd'): did you mean "
            "'pad'?",
        ),
        (
            ("recipes.resnet-gradcam.published.protocol", "Test"),
            "recipes.resnet-gradcam.published.protocol: should be 'test', 'train', 'validation' or 'selected on test' "
            "(got 'Test'): did you mean 'test'?",
        ),
        (
            ("datasets.nickparvar.source.layout.splits.Testing", "Test"),
            "datasets.nickparvar.source.layout.splits.Testing: should be 'train' or 'test' (got 'Test'): did you mean "
            "'test'?",
        ),
        (
            ("datasets.nickparvar.source.layout.splits.Testing", "val"),
            "datasets.nickparvar.source.layout.splits.Testing: should be 'train' or 'test' (got 'val')",
        ),
        (
            ("datasets.navoneel.source.kind", "kagle"),
            "datasets.navoneel.source.kind: 'kagle' is not one of archive, figshare, folder, kaggle, phantom, "
            "roboflow, voc, yolo: did you mean 'kaggle'?",
        ),
        (
            ("datasets.navoneel.patients", "provenance/non.csv"),
            "datasets.navoneel.patients: there is no file 'provenance/non.csv' (provenance/none.csv names no patient)",
        ),
        (
            ("datasets.navoneel.expected.counts", {"notumor": 98, "tumour": 155, "tumor": 1}),
            "datasets.navoneel.expected.counts: there is no label 'tumour' (labels: notumor, tumor): did you mean "
            "'tumor'?",
        ),
        (
            ("datasets.m2pbp.expected.counts", {"val/label0": 1}),
            "datasets.m2pbp.expected.counts: 'val' in 'val/label0' should be train or test",
        ),
        (
            ("backbones.resnet50.architecture", "resnet5O"),
            "backbones.resnet50.architecture: timm has no model 'resnet5O': did you mean 'resnet50'?",
        ),
        (
            ("backbones.resnet50.weights.revision", "main"),
            "backbones.resnet50.weights.revision: string should match pattern '^[0-9a-f]{40}$' (got 'main')",
        ),
        (
            ("backbones.resnet50.weights.kind", "hubb"),
            "backbones.resnet50.weights: 'kind' should be 'package', 'hub', 'file', 'none' (got 'hubb'): did you mean "
            "'hub'?",
        ),
        (
            ("seeds.recipes.0.backbone", "resnet50"),
            "seeds.recipes.0.backbone: 'resnet50' differs from recipes.quickstart.backbone: write "
            "'tf_efficientnet_lite0'",
        ),
        (
            ("localization.recipes.0.dataset", "cheng"),
            "localization.recipes.0.dataset: 'cheng' differs from recipes.quickstart.dataset: write 'phantom'",
        ),
    ],
)
def test_check_params_single_wrong_value_gives_one_clear_line(tmp_path: Path, edit: tuple[str, Any], line: str) -> None:
    assert check(tmp_path, changed(edit)) == Findings([line], [])


@pytest.mark.parametrize("section", ["datasets", "backbones", "recipes"])
@pytest.mark.parametrize("name", ["a.b", "a b", "a/b", "a@b", "-a", "é", "a:b", "7", "", "patients"])
def test_check_params_unusable_name_gives_one_line(tmp_path: Path, section: str, name: str) -> None:
    params = small_params()
    params[section][name] = next(iter(params[section].values()))
    (line,) = check(tmp_path, params).errors
    assert line.startswith(f"{section}: {name!r} ")


@pytest.mark.parametrize("name", ["A-1_b", "2d", "_x"])
def test_check_params_usable_name_gives_no_line(tmp_path: Path, name: str) -> None:
    params = small_params()
    params["recipes"][name] = params["recipes"]["quickstart"]
    assert check(tmp_path, params) == Findings([], [])


def test_check_params_all_problems_are_listed_together(tmp_path: Path) -> None:
    edits = (
        ("recipes.quickstart.dataset", "nope"),
        ("recipes.vit-rollout.train.epoch", 3),
        ("datasets.cheng.info.url", "nowhere"),
        ("backbones.resnet50.weights.repo", 5),
    )
    keys = [line.partition(":")[0] for line in check(tmp_path, changed(*edits)).errors]
    assert sorted(keys) == sorted(key for key, _ in edits)


def test_check_params_missing_blocks_are_named(tmp_path: Path) -> None:
    params = small_params()
    del params["recipes"]["quickstart"]["split"], params["recipes"]["quickstart"]["classes"]
    del params["datasets"]["cheng"]["patients"], params["recipes"]["vit-rollout"]["export"]
    assert sorted(check(tmp_path, params).errors) == [
        "datasets.cheng.patients: is missing",
        "recipes.quickstart.classes: is missing",
        "recipes.quickstart.split: is missing",
    ]  # the export is not needed for a report


def test_check_params_missing_section_is_named(tmp_path: Path) -> None:
    params = small_params()
    params["recipe"] = params.pop("recipes")
    assert check(tmp_path, params).errors == ["the top level has no key 'recipes': did you mean 'recipe'?"]


def test_check_params_classes_are_compared_with_what_is_known_of_the_labels(tmp_path: Path) -> None:
    def errors(counts: dict[str, int], classes: list[str]) -> list[str]:
        edits = (("datasets.nickparvar.expected.counts", counts), ("recipes.resnet-gradcam.classes", classes))
        return check(tmp_path, changed(*edits)).errors

    assert errors({}, ["glioma", "pituitary"]) == []
    assert len(errors({}, ["glioma", "adenoma"])) == 1  # not in `layout.labels`
    assert errors({"test/glioma": 1, "train/pituitary": 1}, ["glioma", "pituitary"]) == []
    assert len(errors({"test/glioma": 1, "train/pituitary": 1}, ["glioma", "notumor"])) == 1  # not in `counts`


def test_check_params_published_split_needs_published_test_images(tmp_path: Path) -> None:
    published = ("recipes.vit-rollout.split", {"strategy": "published", "validation": 0.1, "seed": 0})
    line = (
        "recipes.vit-rollout.split.strategy: datasets.navoneel has no published test images: use fraction, kfold, or "
        "folds of its source"
    )
    assert check(tmp_path, changed(published)).errors == [line]
    unknown: tuple[str, Any] = ("datasets.navoneel.expected.counts", {})
    assert check(tmp_path, changed(published, unknown)).errors == [line]  # its layout has no split either
    table = {"kind": "folder", "path": "mine", "table": "images.csv"}  # has splits or not: known after the download
    assert check(tmp_path, changed(published, unknown, ("datasets.navoneel.source", table))).errors == []


def test_check_params_study_of_removed_recipe_is_a_warning(tmp_path: Path) -> None:
    """The other recipes run without this study."""
    findings = check(tmp_path, changed(("external.recipes.0", "edg"), ("external.datasets.0", "phantm")))
    assert findings.errors == []
    assert findings.warnings == [
        "external.recipes.0: there is no recipe 'edg' (recipes: quickstart, vit-rollout, resnet-gradcam)",
        "external.datasets.0: there is no data set 'phantm' (data sets: phantom, navoneel, nickparvar, cheng, m2pbp): "
        "did you mean 'phantom'?",
    ]


def test_recipe_block_choices_are_those_of_the_report() -> None:
    assert set(get_args(RecipeBlock.model_fields["primary"].annotation)) == set(PRIMARY_FIGURES)
    assert set(get_args(PublishedResult.model_fields["protocol"].annotation)) == set(PROTOCOLS)


def test_recipe_block_has_the_blocks_of_all_stages() -> None:
    assert set(stage.RECIPE) == set(COMMITTED["recipes"]["quickstart"]) - {"dataset", "backbone", "primary", "classes"}
    assert set(stage.RECIPE) < set(RecipeBlock.model_fields)


def test_stage_valid_file_writes_the_same_out_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outs = set()
    for epochs in (1, 2):
        check(tmp_path, changed(("recipes.quickstart.train.epochs", epochs)))
        stage.main()
        outs.add((tmp_path / "data/params-checked.txt").read_bytes())
    assert outs == {stage.CHECKED.encode()}


def test_stage_invalid_file_is_an_error_without_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check(tmp_path, changed(("recipes.quickstart.train.epochs", 0)))
    with pytest.raises(
        UserError, match=r"has 1 wrong value, and nothing runs:\n  recipes\.quickstart\.train\.epochs: "
    ):
        stage.main()
    assert not (tmp_path / "data").exists()
