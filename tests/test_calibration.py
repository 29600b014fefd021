"""Temperature, prediction sets and operating point, against SciPy, scikit-learn and what they promise."""

import logging

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss, roc_curve

from brain_tumor.calibration import calibrate, fit_temperature, least_probability, to_probabilities, youden


def overconfident(count: int, classes: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits three times as large as the probabilities by which the classes were drawn."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, classes, generator=generator)
    truth = logits.softmax(-1).multinomial(1, generator=generator).squeeze(1)
    return 3 * logits, truth


def test_the_temperature_has_the_lowest_log_loss() -> None:
    logits, truth = overconfident(2000, 4)
    found = fit_temperature(logits, truth, "softmax")

    def loss(temperature: float) -> float:
        return float(log_loss(truth, to_probabilities(logits.double(), "softmax", temperature)))

    best = minimize_scalar(loss, bounds=(0.5, 10), method="bounded", options={"xatol": 1e-7}).x
    assert found == pytest.approx(best, rel=1e-4)
    assert found == pytest.approx(3, rel=0.1)


def test_one_logit_has_the_temperature_of_the_same_model_with_two() -> None:
    two, truth = overconfident(500, 2)
    one = two[:, :1] - two[:, 1:]
    assert fit_temperature(one, truth, "sigmoid") == fit_temperature(two, truth, "softmax")
    torch.testing.assert_close(to_probabilities(one, "sigmoid", 2.0), to_probabilities(two, "softmax", 2.0))


def test_rows_that_are_all_right_say_nothing_of_the_temperature(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert fit_temperature(torch.eye(3), torch.arange(3), "softmax") == 1.0
    assert "all 3 validation images are right" in caplog.text


@given(st.integers(1, 60), st.sampled_from([0.8, 0.9, 0.95]), st.integers(0, 1000))
def test_prediction_sets_hold_as_many_true_classes_as_they_promise(n: int, coverage: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(3), n)
    truth = random.integers(0, 3, n)
    least = least_probability(probabilities, truth, coverage)
    of_true = probabilities[np.arange(n), truth]
    # Split conformal: of n + 1 exchangeable rows, the share at or above the threshold is at least the coverage.
    assert (of_true >= least).sum() >= coverage * (n + 1) - 1e-6 or least == 0
    assert (least == 0) == (n + 1 < 1 / (1 - coverage) - 1e-6)
    if least:
        assert (of_true > least).sum() < coverage * (n + 1) + 1e-6


def test_new_rows_are_covered() -> None:
    logits, truth = overconfident(4000, 4)
    found = calibrate(logits[:2000], truth[:2000], "softmax")
    fresh = to_probabilities(logits[2000:].double(), "softmax", found.temperature).numpy()
    of_true = fresh[np.arange(2000), truth[2000:]]
    for coverage, least in found.least.items():
        assert (of_true >= least).mean() == pytest.approx(float(coverage), abs=0.02)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_the_operating_point_is_that_of_the_roc_curve(rows: list[tuple[int, bool]]) -> None:
    scores, positive = np.array([score / 5 for score, _ in rows]), np.array([hit for _, hit in rows])
    point = youden(scores, positive)
    if positive.all() or not positive.any():
        assert point == 0.5
        return
    false, true, _ = roc_curve(positive, scores, drop_intermediate=False)
    reached = (scores[positive] >= point).mean() - (scores[~positive] >= point).mean()
    assert reached == pytest.approx((true - false).max())


def test_two_classes_have_an_operating_point_and_more_have_none() -> None:
    assert calibrate(*overconfident(100, 2), "softmax").operating_point is not None
    assert calibrate(*overconfident(100, 3), "softmax").operating_point is None
