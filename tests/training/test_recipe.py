"""The training configuration of a recipe, out of params.yaml."""

from pathlib import Path

import pytest

from brain_tumor.core.errors import UserError
from brain_tumor.training.recipe import read_training_config

PARAMS = """
datasets:
  shapes: {info: {generated: true}}
recipes:
  small:
    dataset: shapes
    classes: [no, glioma]
    backbone: tiny
    preprocess: {operations: [{op: resize, size: 32, mode: pad}]}
    train:
      trainable: head
      head: softmax
      epochs: 4
      batch_size: 8
      optimizer: {kind: adamw, lr: 0.003}
      schedule: {kind: cosine, warmup: 0.5}
      loss: {label_smoothing: 0.1}
      select: accuracy
      augment: []
      seed: 7
"""


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS)
    return path


@pytest.mark.usefixtures("params")
def test_read_training_config_takes_recipe_and_data_set() -> None:
    config = read_training_config("small")
    assert (config.name, config.dataset, config.generated_data) == ("small", "shapes", True)
    assert config.classes == ("no", "glioma")
    assert config.weights == Path("data/weights/tiny")
    assert config.preprocess.size == 32
    assert (config.train.epochs, config.train.seed, config.train.select) == (4, 7, "accuracy")
    assert config.train.loss.label_smoothing == 0.1
    # Keys that are left out:
    assert (config.train.patience, config.train.ema, config.train.metadata, config.train.compile) == (
        None,
        None,
        (),
        False,
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed: 7", "seed: 7\n      sed: 8", r"unknown key recipes\.small\.train\.sed: did you mean 'seed'"),
        ("epochs: 4", "epochs: 0", r"recipes\.small\.train\.epochs: .*greater than or equal to 1"),
        ("batch_size: 8", "batch_size: 1", r"recipes\.small\.train\.batch_size: .*greater than or equal to 2"),
        ("      select: accuracy\n", "", r"recipes\.small\.train\.select: Field required"),
        ("    backbone: tiny\n", "", "recipes.small has no key 'backbone'"),
        ("generated: true", "generated: maybe", r"datasets\.shapes\.info\.generated: "),
    ],
)
def test_read_training_config_invalid_value_is_an_error(params: Path, old: str, new: str, message: str) -> None:
    assert old in PARAMS
    params.write_text(PARAMS.replace(old, new))
    with pytest.raises(UserError, match=message):
        read_training_config("small")
