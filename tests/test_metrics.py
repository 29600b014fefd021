"""Figures of merit against scikit-learn and SciPy, on random cases with ties, missing classes and single rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as sk

from brain_tumor.metrics import EvaluateParams, auroc, by_class, confusion, measure, overall, resample, wilson

PARAMS = EvaluateParams(rounds=100, seed=0)
CLASSES = ("a", "b", "c")


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, probabilities with ties (a few levels only), and whole-number weights, at least one of them positive."""
    n = draw(st.integers(1, 25))
    truth = np.array(draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)), np.int64)
    levels = draw(st.lists(st.tuples(*[st.integers(1, 4)] * 3), min_size=n, max_size=n))
    raw = np.array(levels, float)
    weights = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), float)
    weights[0] += 1
    return truth, raw / raw.sum(1, keepdims=True), weights


@given(cases())
def test_figures_equal_those_of_scikit_learn(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    truth, probabilities, weights = case
    predicted = probabilities.argmax(1)
    tables = confusion(truth, predicted, weights[None], 3)
    areas = auroc(truth, probabilities, weights[None])
    found = {name: values[0] for name, values in overall(tables, areas).items()}
    there = np.unique(truth[weights > 0])
    kept = weights > 0
    options = {"labels": list(there), "sample_weight": weights, "zero_division": 0}
    expected = {
        "accuracy": sk.accuracy_score(truth, predicted, sample_weight=weights),
        "balanced_accuracy": sk.recall_score(truth, predicted, average="macro", **options),
        "macro_f1": sk.f1_score(truth, predicted, average="macro", **options),
        "weighted_f1": sk.f1_score(truth, predicted, average="weighted", **options),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name
    precision, recall, f1 = (values[0] for values in by_class(tables))
    options["labels"] = [0, 1, 2]
    np.testing.assert_allclose(precision, sk.precision_score(truth, predicted, average=None, **options), atol=1e-9)
    np.testing.assert_allclose(recall[there], sk.recall_score(truth, predicted, average=None, **options)[there])
    np.testing.assert_allclose(f1, sk.f1_score(truth, predicted, average=None, **options), atol=1e-9)
    for k in range(3):
        if 0 < (truth[kept] == k).sum() < kept.sum():
            area = sk.roc_auc_score(truth == k, probabilities[:, k], sample_weight=weights)
            assert areas[0, k] == pytest.approx(area, abs=1e-9)
        else:
            assert np.isnan(areas[0, k])
    # Macro over the classes that have an area; none has one if all rows are of one class.
    assert found["auroc"] == pytest.approx(pd.Series(areas[0]).mean(), abs=1e-9, nan_ok=True)


@given(cases())
def test_measure_holds_together(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    truth, probabilities, _ = case
    groups = [f"g{i // 2}" for i in range(len(truth))]
    found = measure(truth, probabilities, groups, CLASSES, PARAMS)
    assert found["n"] == len(truth)
    assert sum(row["support"] for row in found["classes"].values()) == len(truth)
    low, high = found["interval"]["accuracy"]
    assert 0 <= low <= high <= 1
    again = measure(truth, probabilities, groups, CLASSES, PARAMS)
    np.testing.assert_equal(found, again)


def test_intervals_hold_their_figures_and_follow_the_seed() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 150)
    scores = random.random((150, 3)) + np.eye(3)[truth] / 2
    probabilities, groups = scores / scores.sum(1, keepdims=True), [f"g{i}" for i in range(150)]
    found = measure(truth, probabilities, groups, CLASSES, PARAMS)
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "auroc", "accuracy_wilson"):
        low, high = found["interval"][name]
        assert low < found[name.removesuffix("_wilson")] < high, name
    other = measure(truth, probabilities, groups, CLASSES, EvaluateParams(rounds=100, seed=1))
    assert tuple(other["interval"]["auroc"]) != tuple(found["interval"]["auroc"])
    assert other["auroc"] == found["auroc"]


def test_intervals_narrow_with_independent_groups_and_not_with_copies() -> None:
    random = np.random.default_rng(0)
    truth = np.repeat([0, 1], 100)
    probabilities = np.eye(2)[np.where(random.random(200) < 0.8, truth, 1 - truth)]
    widths = []
    for size in (1, 20):
        groups = [f"g{i // size:03d}" for i in range(200)]
        found = measure(truth, probabilities, groups, "ab", PARAMS)
        low, high = found["interval"]["accuracy"]
        assert low < found["accuracy"] < high
        widths.append(high - low)
    copies = measure(np.repeat(truth[::20], 20), np.repeat(probabilities[::20], 20, 0), groups, "ab", PARAMS)
    low, high = copies["interval"]["accuracy"]
    assert high - low > 2 * widths[0], "twenty copies of one image are one piece of evidence"


def test_resample_draws_whole_groups_and_as_many_of_each_class() -> None:
    truth = np.array([0, 0, 0, 1, 1, 1, 1])
    groups = list("aabccde")
    weights = np.concatenate(list(resample(truth, groups, PARAMS)))
    assert weights.shape == (100, 7)
    for group in "ac":
        members = [i for i, name in enumerate(groups) if name == group]
        assert (weights[:, members] == weights[:, members[:1]]).all()
    first = [groups.index(name) for name in "abcde"]
    assert (weights[:, first[:2]].sum(1) == 2).all()
    assert (weights[:, first[2:]].sum(1) == 3).all()


@pytest.mark.parametrize(("hits", "n"), [(48, 51), (0, 10), (10, 10), (1, 1)])
def test_wilson(hits: int, n: int) -> None:
    expected = binomtest(hits, n).proportion_ci(method="wilson")
    assert wilson(hits, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_no_rows_give_no_figures() -> None:
    assert measure(np.zeros(0, np.int64), np.zeros((0, 3)), [], CLASSES, PARAMS) == {"n": 0}
