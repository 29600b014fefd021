"""Logits and probabilities of a classifier."""

import numpy as np
import pandas as pd
import torch

from brain_tumor.models.calibration import Calibration
from brain_tumor.models.classifier import Classifier, ModelConfig
from brain_tumor.models.clinical_features import Column
from brain_tumor.models.predict import predict_logits, predict_probabilities
from nets import CPU, make_config, make_samples

IMAGES = make_samples(5).images
ROWS = pd.DataFrame({"sex": ["f", "m", "", "x", "f"]})
# By row of ROWS: features female, male, missing. A value that did not occur in training is missing.
WEIGHT = torch.tensor([[1.0, 0.0, -2.0], [0.0, 3.0, 0.0], [-1.0, 0.5, 4.0]])  # (classes, features)


def make_clinical_model() -> tuple[Classifier, ModelConfig]:
    """Make a model that takes the sex, with known weights for it."""
    torch.manual_seed(0)
    config = make_config().model_copy(update={"metadata": (Column(name="sex", values=("f", "m")),)})
    model = Classifier(config)
    weight = model.metadata.weight
    assert weight is not None
    weight.data.copy_(WEIGHT)
    return model, config


def test_predict_logits_metadata_is_added_to_each_image() -> None:
    model, _ = make_clinical_model()
    features = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [1, 0, 0]])
    # Of images whose metadata is missing, the third feature is 1.
    expected = predict_logits(model, IMAGES, CPU) - WEIGHT[:, 2] + WEIGHT.T[[0, 1, 2, 2, 0]]
    torch.testing.assert_close(predict_logits(model, IMAGES, CPU, features), expected)


def test_predict_logits_batch_size_changes_nothing() -> None:
    model, _ = make_clinical_model()
    one, two = (predict_logits(model.train(), IMAGES, CPU, batch_size=size) for size in (64, 2))
    torch.testing.assert_close(one, two)
    assert not model.training
    assert one.dtype == torch.float32


def test_predict_probabilities_rows_give_the_metadata() -> None:
    model, config = make_clinical_model()
    missing = predict_probabilities(model, config, IMAGES.numpy(), CPU).uncalibrated
    result = predict_probabilities(model, config, IMAGES.numpy(), CPU, ROWS).uncalibrated
    np.testing.assert_allclose(result[2:4], missing[2:4])
    # Odds of classes 0 and 1 in row 0: the logits change by 1 - (-2) and 0.
    odds = result[0, 0] / result[0, 1] / (missing[0, 0] / missing[0, 1])
    np.testing.assert_allclose(odds, np.exp(3), rtol=1e-5)


def test_predict_probabilities_temperature_divides_the_logits() -> None:
    model, config = make_clinical_model()
    config = config.model_copy(update={"calibration": Calibration(temperature=2.5)})
    logits = predict_logits(model, IMAGES, CPU).numpy().astype(np.float64)
    result = predict_probabilities(model, config, IMAGES.numpy(), CPU)
    for probabilities, temperature in ((result.uncalibrated, 1.0), (result.calibrated, 2.5)):
        exponentials = np.exp(logits / temperature)
        np.testing.assert_allclose(probabilities, exponentials / exponentials.sum(1, keepdims=True), rtol=1e-12)
        assert probabilities.dtype == np.float64


def test_predict_probabilities_sigmoid_head_has_two_columns() -> None:
    torch.manual_seed(0)
    config = make_config(classes=2, head="sigmoid")
    model = Classifier(config)
    logits = predict_logits(model, IMAGES, CPU).numpy().astype(np.float64)
    first = 1 / (1 + np.exp(-logits))
    result = predict_probabilities(model, config, IMAGES.numpy(), CPU).calibrated
    np.testing.assert_allclose(result, np.hstack([first, 1 - first]), rtol=1e-12)
