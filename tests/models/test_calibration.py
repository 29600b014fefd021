"""Temperature, prediction sets and operating point, against SciPy, scikit-learn and their guarantees."""

import logging

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss, roc_curve

from brain_tumor.models.calibration import (
    Calibration,
    LabeledLogits,
    calibrate,
    conformal_threshold,
    fit_temperature,
    to_probabilities,
    youden_threshold,
)


def sample_overconfident(count: int, classes: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Sample classes by the softmax of some logits; return three times these logits, and the classes."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, classes, generator=generator)
    truth = logits.softmax(-1).multinomial(1, generator=generator).squeeze(1)
    return 3 * logits, truth


def test_fit_temperature_minimizes_the_log_loss() -> None:
    logits, truth = sample_overconfident(2000, 4)
    fitted = fit_temperature(logits, truth, "softmax")

    def loss(temperature: float) -> float:
        return float(log_loss(truth, to_probabilities(logits.double(), "softmax", temperature)))

    best = minimize_scalar(loss, bounds=(0.5, 10), method="bounded", options={"xatol": 1e-7}).x
    assert fitted == pytest.approx(best, rel=1e-4)
    assert fitted == pytest.approx(3, rel=0.1)


def test_fit_temperature_sigmoid_equals_softmax_of_two_logits() -> None:
    two, truth = sample_overconfident(500, 2)
    one = two[:, :1] - two[:, 1:]
    assert fit_temperature(one, truth, "sigmoid") == fit_temperature(two, truth, "softmax")
    torch.testing.assert_close(to_probabilities(one, "sigmoid", 2.0), to_probabilities(two, "softmax", 2.0))


def test_fit_temperature_without_validation_errors_is_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert fit_temperature(torch.eye(3), torch.arange(3), "softmax") == 1.0
    assert "no errors on 3 validation images" in caplog.text


@given(st.integers(1, 60), st.sampled_from([0.8, 0.9, 0.95]), st.integers(0, 1000))
def test_conformal_threshold_reaches_coverage(n: int, coverage: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(3), n)
    truth = random.integers(0, 3, n)
    threshold = conformal_threshold(probabilities, truth, coverage)
    true_class = probabilities[np.arange(n), truth]
    # Split conformal: of n + 1 exchangeable rows, the fraction at or above the threshold is at least the coverage.
    assert (true_class >= threshold).sum() >= coverage * (n + 1) - 1e-6 or threshold == 0
    assert (threshold == 0) == (n + 1 < 1 / (1 - coverage) - 1e-6)
    if threshold:
        assert (true_class > threshold).sum() < coverage * (n + 1) + 1e-6


def test_calibrate_prediction_sets_cover_new_rows() -> None:
    logits, truth = sample_overconfident(4000, 4)
    # Rows of their own for the thresholds: those that chose the temperature are not exchangeable with new ones.
    validation, conformal = (LabeledLogits(logits[part], truth[part]) for part in (slice(500), slice(500, 2000)))
    calibration = calibrate(validation, conformal, "softmax")
    assert (calibration.validation_images, calibration.conformal_images) == (500, 1500)
    probabilities = to_probabilities(logits[2000:].double(), "softmax", calibration.temperature).numpy()
    true_class = probabilities[np.arange(2000), truth[2000:]]
    for coverage, threshold in calibration.thresholds.items():
        assert (true_class >= threshold).mean() == pytest.approx(float(coverage), abs=0.02)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_youden_threshold_is_the_best_of_the_roc_curve(rows: list[tuple[int, bool]]) -> None:
    scores, positive = np.array([score / 5 for score, _ in rows]), np.array([label for _, label in rows])
    threshold = youden_threshold(scores, positive)
    if positive.all() or not positive.any():
        assert threshold == 0.5
        return
    false_rate, true_rate, _ = roc_curve(positive, scores, drop_intermediate=False)
    reached = (scores[positive] >= threshold).mean() - (scores[~positive] >= threshold).mean()
    assert reached == pytest.approx((true_rate - false_rate).max())


def test_calibrate_operating_point_is_for_two_classes_alone() -> None:
    for classes, has_point in ((2, True), (3, False)):
        rows = LabeledLogits(*sample_overconfident(100, classes))
        assert (calibrate(rows, rows, "softmax").operating_point is not None) == has_point


def test_calibrate_without_rows_leaves_out_what_they_are_for() -> None:
    rows, none = LabeledLogits(*sample_overconfident(100, 2)), LabeledLogits(torch.empty(0, 2), torch.empty(0).long())
    assert calibrate(none, none, "softmax") == Calibration()
    assert calibrate(rows, none, "softmax").thresholds == {}
    only_conformal = calibrate(none, rows, "softmax")
    assert (only_conformal.temperature, only_conformal.operating_point) == (1.0, None)
    assert set(only_conformal.thresholds) == {"0.9", "0.95"}
