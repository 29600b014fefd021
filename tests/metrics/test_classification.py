"""Metrics against scikit-learn and SciPy, on random cases with ties, missing classes and single rows."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as sk

from brain_tumor.metrics.classification import (
    NUM_BINS,
    assign_bins,
    calibration_error,
    classification_metrics,
    count_confusion,
    wilson_interval,
)

CLASSES = ("a", "b", "c")
Case = tuple[np.ndarray, np.ndarray, np.ndarray]


@st.composite
def cases(draw: st.DrawFn, size: int = 3) -> Case:
    """Truth, probabilities with ties (a few levels only), and whole-number weights, at least one of them positive."""
    n = draw(st.integers(1, 25))
    truth = np.array(draw(st.lists(st.integers(0, size - 1), min_size=n, max_size=n)), np.int64)
    levels = draw(st.lists(st.tuples(*[st.integers(1, 4)] * size), min_size=n, max_size=n))
    raw = np.array(levels, float)
    weights = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), float)
    weights[0] += 1
    return truth, raw / raw.sum(1, keepdims=True), weights


@given(cases())
def test_classification_metrics_equal_those_of_scikit_learn(case: Case) -> None:
    truth, probabilities, weights = case
    predicted = probabilities.argmax(1)
    metrics = classification_metrics(truth, probabilities, weights[None])
    present = np.unique(truth[weights > 0])
    weighted = weights > 0
    options = {"labels": list(present), "sample_weight": weights, "zero_division": 0}
    every = {"labels": [0, 1, 2], "sample_weight": weights}
    expected = {
        "accuracy": sk.accuracy_score(truth, predicted, sample_weight=weights),
        "balanced_accuracy": sk.recall_score(truth, predicted, average="macro", **options),
        "macro_precision": sk.precision_score(truth, predicted, average="macro", **options),
        "macro_f1": sk.f1_score(truth, predicted, average="macro", **options),
        "weighted_f1": sk.f1_score(truth, predicted, average="weighted", **options),
        "brier": sk.brier_score_loss(truth, probabilities, **every),
        "log_loss": sk.log_loss(truth, probabilities, **every),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected["mcc"] = sk.matthews_corrcoef(truth, predicted, sample_weight=weights)
        expected["kappa"] = sk.cohen_kappa_score(truth, predicted, labels=[0, 1, 2], sample_weight=weights)
    for name, value in expected.items():
        assert metrics.overall[name][0] == pytest.approx(value, abs=1e-9, nan_ok=True), name
    each = {name: values[0] for name, values in metrics.by_class.items()}
    options["labels"] = [0, 1, 2]
    for name, score in (("precision", sk.precision_score), ("f1", sk.f1_score)):
        np.testing.assert_allclose(each[name], score(truth, predicted, average=None, **options), atol=1e-9)
    recall = sk.recall_score(truth, predicted, average=None, **options)
    np.testing.assert_allclose(each["recall"][present], recall[present], atol=1e-9)
    for k in range(3):
        positive = truth == k
        if 0 < positive[weighted].sum() < weighted.sum():
            area = sk.roc_auc_score(positive, probabilities[:, k], sample_weight=weights)
            assert each["auroc"][k] == pytest.approx(area, abs=1e-9)
            area = sk.average_precision_score(positive, probabilities[:, k], sample_weight=weights)
            assert each["auprc"][k] == pytest.approx(area, abs=1e-9)
        else:
            assert np.isnan(each["auroc"][k])
            assert np.isnan(each["auprc"][k])
        if not positive[weighted].all():
            specificity = sk.recall_score(~positive, predicted != k, sample_weight=weights, zero_division=0)
            assert each["specificity"][k] == pytest.approx(specificity, abs=1e-9)
    # Macro over the classes that have an area; none has one if all rows are of one class.
    assert metrics.overall["auroc"][0] == pytest.approx(pd.Series(each["auroc"]).mean(), abs=1e-9, nan_ok=True)


@given(cases(size=2), st.floats(0, 1))
def test_classification_metrics_two_classes_equal_scikit_learn(case: Case, operating_point: float) -> None:
    truth, probabilities, weights = case
    metrics = {
        name: values[0]
        for name, values in classification_metrics(truth, probabilities, weights[None], operating_point).overall.items()
    }
    every = {"sample_weight": weights}
    brier = sk.brier_score_loss(truth == 0, probabilities[:, 0], **every)
    assert metrics["brier"] == pytest.approx(brier, abs=1e-9)
    positive, predicted, weighted = truth == 0, probabilities[:, 0] >= operating_point, weights > 0
    if not 0 < positive[weighted].sum() < weighted.sum():
        assert np.isnan(metrics["sensitivity_at_95_specificity"])
        return
    assert metrics["sensitivity_at_point"] == pytest.approx(sk.recall_score(positive, predicted, **every), abs=1e-9)
    assert metrics["specificity_at_point"] == pytest.approx(sk.recall_score(~positive, ~predicted, **every), abs=1e-9)
    options = every | {"drop_intermediate": False}
    fpr, tpr, _ = sk.roc_curve(positive, probabilities[:, 0], **options)
    assert metrics["sensitivity_at_95_specificity"] == pytest.approx(tpr[fpr <= 0.05 + 1e-12].max(), abs=1e-9)
    assert metrics["specificity_at_95_sensitivity"] == pytest.approx(1 - fpr[tpr >= 0.95 - 1e-12].min(), abs=1e-9)


@given(cases())
def test_classification_metrics_many_weightings_equal_each_alone(case: Case) -> None:
    truth, probabilities, weights = case
    several = np.stack([weights, np.ones_like(weights), weights * 2])
    together, alone = (
        classification_metrics(truth, probabilities, several),
        classification_metrics(truth, probabilities, several[1:2]),
    )
    for part in together:
        for name, values in part.items():
            expected = alone.overall if part is together.overall else alone.by_class
            np.testing.assert_allclose(values[1], expected[name][0], atol=1e-12)
            np.testing.assert_allclose(values[0], values[2], atol=1e-12)


@given(cases())
def test_count_confusion_equals_that_of_scikit_learn(case: Case) -> None:
    truth, probabilities, _ = case
    predicted = probabilities.argmax(1)
    expected = sk.confusion_matrix(truth, predicted, labels=[0, 1, 2])
    np.testing.assert_array_equal(count_confusion(truth, predicted, 3), expected)


def test_calibration_error_by_hand() -> None:
    random = np.random.default_rng(0)
    confidence = np.sort(random.random(NUM_BINS * 4))
    right = random.random(len(confidence)) < 0.5
    gaps = [abs(right[k : k + 4].mean() - confidence[k : k + 4].mean()) for k in range(0, len(confidence), 4)]
    assert calibration_error(confidence, right, np.ones((1, len(right))))[0] == pytest.approx(np.mean(gaps), abs=1e-12)


def test_assign_bins_equal_values_share_a_bin() -> None:
    values = np.repeat([0.2, 0.9], 30)
    assert len(set(assign_bins(values)[:30])) == len(set(assign_bins(values)[30:])) == 1
    counts = np.bincount(assign_bins(np.random.default_rng(0).random(150)), minlength=NUM_BINS)
    assert counts.tolist() == [10] * NUM_BINS


@pytest.mark.parametrize(("hits", "n"), [(48, 51), (0, 10), (10, 10), (1, 1)])
def test_wilson_interval_equals_that_of_scipy(hits: int, n: int) -> None:
    expected = binomtest(hits, n).proportion_ci(method="wilson")
    assert wilson_interval(hits, n) == pytest.approx((expected.low, expected.high), abs=1e-9)
