"""Curves over thresholds, against scikit-learn and by hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from brain_tumor.evaluation import curves
from brain_tumor.evaluation.probabilities import compared_subsets
from predictions import CLASSES, make_predictions


def test_roc_curves_areas_equal_those_of_scikit_learn() -> None:
    test = make_predictions(400)
    table = curves.roc_curves(test.truth, test.calibrated, CLASSES)
    wide = table.pivot(index="false_positive_rate", columns="class", values="true_positive_rate")
    for k, label in enumerate(CLASSES):
        area = sk.roc_auc_score(test.truth == k, test.calibrated[:, k])
        assert np.trapezoid(wide[label], wide.index) == pytest.approx(area, abs=0.01)
    assert np.allclose(wide[curves.MACRO], wide[list(CLASSES)].mean(axis=1))


def test_precision_recall_curves_fall_to_the_prevalence() -> None:
    test = make_predictions(400)
    table = curves.precision_recall_curves(test.truth, test.calibrated, CLASSES)
    precision = table.loc[table["class"] == "a", "precision"]
    assert precision.is_monotonic_decreasing
    assert precision.iloc[-1] >= (test.truth == 0).mean() - 1e-9


def test_roc_curves_class_that_does_not_occur_has_no_curve() -> None:
    table = curves.roc_curves(np.zeros(4, np.int64), make_predictions().calibrated[:4], CLASSES)
    assert table.loc[table["class"] == "b", "true_positive_rate"].isna().all()


def test_coverage_curve_ends_at_the_accuracy() -> None:
    test = make_predictions()
    table = curves.coverage_curve(test.truth, test.calibrated)
    assert table["accuracy"].iloc[-1] == pytest.approx((test.calibrated.argmax(1) == test.truth).mean())


def test_coverage_curve_does_not_depend_on_the_order_of_ties() -> None:
    test = make_predictions()
    levels = test.calibrated.round(1) + np.array([0.001, 0, 0])
    order = np.random.default_rng(0).permutation(60)
    pd.testing.assert_frame_equal(
        curves.coverage_curve(test.truth, levels), curves.coverage_curve(test.truth[order], levels[order])
    )


def test_decision_curve_by_hand() -> None:
    positive, scores = np.array([True, True, False, False]), np.array([0.9, 0.4, 0.6, 0.1])
    table = curves.decision_curve(positive, scores).set_index("threshold")
    half = table.loc[0.5]
    assert half["model"] == pytest.approx(1 / 4 - 1 / 4)
    assert half["treat_all"] == pytest.approx(0)
    assert table["model"][0.2] == pytest.approx(2 / 4 - 1 / 4 * 0.25)


def test_compute_curves_of_each_subset_equal_those_of_its_rows() -> None:
    test = make_predictions()
    tables = curves.compute_curves(test.truth, test.calibrated, compared_subsets(test.clean), CLASSES)
    assert tables["decision"].empty, "net benefit is not defined for three classes"
    for name in ("roc", "pr", "reliability", "coverage"):
        assert list(dict.fromkeys(tables[name]["subset"])) == ["published", "clean"]
    clean = tables["coverage"][tables["coverage"]["subset"] == "clean"].drop(columns="subset")
    expected = curves.coverage_curve(test.truth[:40], test.calibrated[:40])
    pd.testing.assert_frame_equal(clean.reset_index(drop=True), expected)
    macro = curves.select_macro(tables["roc"])
    assert list(macro) == ["subset", "false_positive_rate", "true_positive_rate"]
    assert len(macro) == 2 * len(curves.GRID)


def test_compute_curves_two_classes_have_a_decision_curve() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    truth = np.array([0, 1, 1])
    tables = curves.compute_curves(truth, probabilities, {"published": np.ones(3, bool)}, ("a", "b"))
    pd.testing.assert_frame_equal(tables["decision"], curves.decision_curve(truth == 0, probabilities[:, 0]))
