"""From rows to a finished model, with a small network and one epoch."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain_tumor.models.calibration import COVERAGES, LabeledLogits, calibrate
from brain_tumor.models.predict import predict_logits
from brain_tumor.models.samples import load_samples
from brain_tumor.training.fit import FitResult, fit
from brain_tumor.training.provenance import CODE_ROOMS
from brain_tumor.training.recipe import TrainingConfig
from nets import CPU, EQUAL_WEIGHTS, make_config, make_params, make_samples

CLASSES = ("a", "b", "c")
IMAGES = make_samples(33).images.numpy()
LABELS = [CLASSES[k] for k in make_samples(33).targets.tolist()]
ROWS = pd.DataFrame({"row": range(33), "label": LABELS})
TRAINING, VALIDATION, CONFORMAL = ROWS[:24], ROWS[24:29], ROWS[29:]


@pytest.fixture
def recipe(tmp_path: Path) -> TrainingConfig:
    backbone = {"architecture": "resnet10t", "mean": [0.5], "std": [0.5], "source": "none", "sha256": ""}
    (tmp_path / "backbone.json").write_text(json.dumps(backbone))
    params = make_params(epochs=1, augment=())
    return TrainingConfig("r", "d", True, CLASSES, make_config().preprocess, params, tmp_path)


def run(recipe: TrainingConfig, images: np.ndarray = IMAGES) -> FitResult:
    scratch = recipe.weights / "scratch"
    scratch.mkdir(exist_ok=True)
    result = fit(recipe, images, TRAINING, VALIDATION, CONFORMAL, EQUAL_WEIGHTS, scratch)
    assert result is not None
    return result


def test_fit_config_describes_recipe_code_and_calibration(recipe: TrainingConfig) -> None:
    result = run(recipe)
    config = result.config
    assert (config.recipe, config.dataset, config.classes) == ("r", "d", CLASSES)
    assert (config.architecture, config.pretrained, config.mean) == ("resnet10t", "none", (0.5,))
    assert sorted(config.code) == sorted(CODE_ROOMS)
    # The calibration is that of the finished model on the validation and conformal rows.
    sets = [load_samples(IMAGES, rows, CLASSES) for rows in (VALIDATION, CONFORMAL)]
    held_out = [LabeledLogits(predict_logits(result.model, x, CPU, metadata), truth) for x, truth, metadata in sets]
    assert config.calibration == calibrate(held_out[0], held_out[1], "softmax")
    assert {float(coverage) for coverage in config.calibration.thresholds} == set(COVERAGES)


def test_fit_data_hash_changes_with_one_pixel_of_its_rows(recipe: TrainingConfig) -> None:
    first = run(recipe).config.data
    changed = IMAGES.copy()
    changed[30, 0, 0] ^= 1  # of a validation row
    assert run(recipe, changed).config.data != first
    more = np.concatenate([IMAGES, IMAGES[:1]])  # a row of neither part
    assert run(recipe, more).config.data == first


def test_fit_missing_declared_weights_are_an_error(recipe: TrainingConfig) -> None:
    path = recipe.weights / "backbone.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sha256": 64 * "0"}))
    with pytest.raises(FileNotFoundError):
        run(recipe)
