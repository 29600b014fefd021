"""params.yaml as a text: every key is explained once, and `dvc exp run -S` leaves the comments alone."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import load_yaml
from ruamel.yaml import YAML

PARAMS = Path(__file__).parents[2] / "params.yaml"
NAMED = ("datasets", "backbones", "recipes")  # mappings whose keys are names that the user chooses
PAIRS = ("expected.counts", "source.labels", "layout.labels", "layout.splits", "external.superclasses")


def keys_with_lines(block: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, int]]:
    """Yield each key of nested mappings as `recipes.*.train.epochs`, with the number of its line from 0."""
    for key, value in block.items():
        key_path = (*path, "*" if path in {(name,) for name in NAMED} else key)
        yield ".".join(key_path), block.lc.key(key)[0]
        if isinstance(value, dict) and not ".".join(key_path).endswith(PAIRS):
            yield from keys_with_lines(value, key_path)


def test_params_file_every_key_is_explained_where_it_first_appears() -> None:
    lines = PARAMS.read_text().splitlines()
    first: dict[str, int] = {}
    explained: dict[str, list[int]] = {}
    for key, number in keys_with_lines(YAML().load(PARAMS)):
        first.setdefault(key, number)
        if " # " in lines[number] or lines[number - 1].lstrip().startswith("#"):
            explained.setdefault(key, []).append(number)
    names = {f"{name}.*" for name in NAMED}
    assert explained == {key: [number] for key, number in first.items() if key not in names}


def test_params_file_dvc_reads_the_same_values() -> None:
    """DVC takes ruamel's C parser where it is installed, the library the one in Python."""
    assert load_yaml(PARAMS) == YAML(typ="safe", pure=True).load(PARAMS)


@pytest.mark.parametrize(
    ("override", "removed", "added"),
    [
        ("recipes.edge.train.seed=42", [], []),
        ("recipes.quickstart.train.optimizer.lr=2e-05", ["        lr: 0.002"], ["        lr: 2e-05"]),
        ("recipes.vit-rollout.train.head=softmax", ["      head: sigmoid"], ["      head: softmax"]),
        ("datasets.navoneel.source.version=2", ["      version: 1"], ["      version: 2"]),
        ("recipes.quickstart.preprocess.operations.1.size=224", ["        size: 160"], ["        size: 224"]),
        ("datasets.phantom.source.patients=80", ["      patients: 600"], ["      patients: 80"]),
        ("recipes.quickstart.explain.methods=[occlusion]", ["hires-cam", "grad-cam"], ["occlusion"]),
        ("crossval.folds=[0,1]", ["  - 2", "  - 3", "  - 4"], []),
        ("+recipes.probe.train.ema=0.99", [], ["      ema: 0.99"]),
    ],
)
def test_params_file_override_changes_nothing_else(
    tmp_path: Path, override: str, removed: list[str], added: list[str]
) -> None:
    path = Path(shutil.copy(PARAMS, tmp_path))
    apply_overrides(str(path), [override])
    before, after = PARAMS.read_text().splitlines(), path.read_text().splitlines()
    start = next((k for k, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]), len(before))
    assert [line.removeprefix("      - ") for line in before[start : start + len(removed)]] == removed
    assert [line.removeprefix("      - ") for line in after[start : start + len(added)]] == added
    assert before[start + len(removed) :] == after[start + len(added) :]
