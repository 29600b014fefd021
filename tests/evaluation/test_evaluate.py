"""Evaluation of the test rows: subsets, baselines, prediction sets, subgroups, patients, perturbations."""

import numpy as np
import pandas as pd
import pytest
import torch

from brain_tumor.core.subsets import LEAK_TYPES
from brain_tumor.evaluation import evaluate
from brain_tumor.metrics.bootstrap import KEY_COLUMNS
from brain_tumor.models.calibration import Calibration, LabeledLogits, calibrate
from brain_tumor.reporting.results import Results
from predictions import CLASSES, PARAMS, make_predictions

CALIBRATION = Calibration(temperature=1.0, thresholds={"0.9": 0.3, "0.95": 0.2})


def test_evaluate_test_rows_measures_subsets_leaks_and_differences() -> None:
    test = make_predictions()
    worst = {"worst": np.eye(3)[(test.truth + 1) % 3]}
    results = Results(evaluate.evaluate_test_rows(test, worst, CALIBRATION, CLASSES, PARAMS))
    correct = test.calibrated.argmax(1) == test.truth
    estimates = {
        "published": (results.get("accuracy"), correct),
        "clean": (results.get("accuracy", "clean"), correct[:40]),
        "duplicate": (results.get("accuracy", attribute="leak", value="duplicate"), correct[40:]),
    }
    for estimate, expected in estimates.values():
        assert estimate is not None
        assert estimate.value == pytest.approx(expected.mean())
        assert estimate.n == len(expected)
    difference = results.get("accuracy", "published", reference_subset="clean")
    assert difference is not None
    assert difference.value == pytest.approx(correct.mean() - correct[:40].mean())
    gain = results.get("accuracy", "clean", reference="worst")
    assert gain is not None
    assert gain.value == pytest.approx(correct[:40].mean())
    assert results.baselines() == ["worst", "largest class"]
    assert results.count_leaks() == dict.fromkeys(LEAK_TYPES, 0) | {"duplicate": 20}
    uncalibrated, calibrated = results.get("ece", model="uncalibrated"), results.get("ece")
    assert uncalibrated is not None
    assert calibrated is not None
    assert uncalibrated.value != calibrated.value


def test_evaluate_test_rows_keys_are_unique_and_complete() -> None:
    test = make_predictions(sex=["f", "m"] * 30)
    baselines = {name: np.full((60, 3), 1 / 3) for name in ("one", "other")}
    table = evaluate.evaluate_test_rows(test, baselines, CALIBRATION, CLASSES, PARAMS)
    keys = table[list(KEY_COLUMNS)]
    assert not keys.isna().any(axis=None)
    assert not keys.duplicated().any()
    own = evaluate.select_model_rows(table)
    assert (table.loc[~own, "class"] == "").all(), "metrics by class are kept for the model alone"
    assert set(table.loc[own, "subset"]) == {"published", "clean"}


def test_evaluate_test_rows_counts_prediction_sets() -> None:
    test = make_predictions()
    results = Results(evaluate.evaluate_test_rows(test, {}, CALIBRATION, CLASSES, PARAMS))
    included = test.calibrated >= 0.3
    for metric, values in (
        ("coverage_at_90", included[np.arange(60), test.truth]), ("set_size_at_90", included.sum(1))
    ):  # fmt: skip
        estimate = results.get(metric)
        assert estimate is not None
        assert estimate.value == pytest.approx(values.mean())
    of_class = results.get("coverage_at_90", "published", "model", "b")
    assert of_class is not None
    assert of_class.value == pytest.approx(included[test.truth == 1, 1].mean())


def test_prediction_set_metrics_rounded_threshold_includes_row() -> None:
    logits = torch.tensor([[26.0, 0.0], [0.0, 26.0]]).repeat(30, 1)
    truth = torch.tensor([0, 1]).repeat(30)
    probabilities = logits.double().softmax(-1).numpy()
    rows = LabeledLogits(logits, truth)
    metrics = evaluate.prediction_set_metrics(probabilities, truth.numpy(), calibrate(rows, rows, "softmax"))
    assert metrics["coverage_at_90"].mean() == 1.0


def test_iterate_subgroups_yields_values_that_divide_the_rows() -> None:
    ages = ["33", "59", "60", "", "x", "41"]
    rows = pd.DataFrame({"plane": ["axial"] * 6, "sex": ["f", "m", "f", "m", "", "f"], "age": ages})
    rows["width"], rows["height"] = ["5", "5", "6", "7", "8", "5"], ["5"] * 6
    groups = {(attribute, value): mask.tolist() for attribute, value, mask in evaluate.iterate_subgroups(rows)}
    assert groups["sex", "f"] == [True, False, True, False, False, True]
    assert groups["age", "40 to 59"] == [False, True, False, False, False, True]
    assert groups["size", "5×5"] == [True, True, False, False, False, True]
    assert "plane" not in {attribute for attribute, _ in groups}, "a single value divides nothing"
    assert sum(sum(mask) for (attribute, _), mask in groups.items() if attribute == "size") == 6


def test_evaluate_test_rows_subgroups_on_all_and_clean_rows() -> None:
    test = make_predictions(sex=["f", "m"] * 30)
    results = Results(evaluate.evaluate_test_rows(test, {}, CALIBRATION, CLASSES, PARAMS))
    assert results.subgroups() == [("sex", "f"), ("sex", "m")]
    assert results.n("published", "sex", "f") == 30
    assert results.n("clean", "sex", "f") == 20


def test_evaluate_patients_averages_the_slices_of_a_patient() -> None:
    test = make_predictions(patient=[f"p{k // 3}" for k in range(60)])
    test = test._replace(truth=np.repeat(np.arange(20) % 3, 3))
    results = Results(evaluate.evaluate_patients(test, CLASSES, PARAMS))
    means = test.calibrated.reshape(20, 3, 3).mean(1)
    published, clean = (results.get("accuracy", subset, "patient mean") for subset in ("published", "clean"))
    assert published is not None
    assert clean is not None
    assert published.value == pytest.approx((means.argmax(1) == np.arange(20) % 3).mean())
    assert (published.n, clean.n) == (20, 13)


def test_evaluate_patients_without_patients_is_empty() -> None:
    assert evaluate.evaluate_patients(make_predictions(), CLASSES, PARAMS).empty


def test_headline_metrics_are_few_and_describe_their_intervals() -> None:
    test = make_predictions(clean=0)
    table = evaluate.evaluate_test_rows(test, {}, CALIBRATION, CLASSES, PARAMS)
    summary = evaluate.headline_metrics(table, PARAMS)
    assert set(summary["published"]) == {"n", "classes", "interval", *evaluate.HEADLINE}
    low, high = summary["published"]["interval"]["accuracy"]
    assert low <= summary["published"]["accuracy"] <= high
    assert summary["clean"] == {"n": 0}
    assert "100 rounds" in summary["intervals"][0]


def test_evaluate_perturbations_compares_with_the_original_images() -> None:
    test = make_predictions()
    perturbed = {"worse": np.roll(test.calibrated, 1, axis=1)}
    table = evaluate.evaluate_perturbations(test, perturbed, CLASSES, PARAMS)
    value = table.set_index(["perturbation", "reference", "subset", "metric"])["value"]
    for subset in ("published", "clean"):
        change = value["worse", "", subset, "accuracy"] - value["original", "", subset, "accuracy"]
        assert value["worse", "original", subset, "accuracy"] == pytest.approx(change)


def test_evaluate_test_rows_largest_class_is_that_of_the_subset_itself() -> None:
    """A constant prediction beat a network on clean images that were mostly of one class."""
    test = make_predictions()
    results = Results(evaluate.evaluate_test_rows(test, {}, CALIBRATION, CLASSES, PARAMS))
    for subset, truth in (("published", test.truth), ("clean", test.truth[:40])):
        estimate = results.get("accuracy", subset, evaluate.LARGEST_CLASS)
        assert estimate is not None
        assert estimate.value == pytest.approx(np.bincount(truth).max() / len(truth))


def test_evaluate_test_rows_corrected_labels_stand_beside_the_others() -> None:
    test = make_predictions()
    labels = [CLASSES[k] for k in test.truth]
    assert test.corrected_truth(CLASSES) is None
    assert test._replace(rows=test.rows.assign(source_label=labels)).corrected_truth(CLASSES) is None
    other = (test.truth + 1) % 3
    source = ["", "another class", *labels[2:50], *[CLASSES[k] for k in other[50:]]]
    changed = test._replace(rows=test.rows.assign(label=labels, source_label=source))
    results = Results(evaluate.evaluate_test_rows(changed, {}, CALIBRATION, CLASSES, PARAMS))
    predicted = test.calibrated.argmax(1)
    published, corrected = (results.get("accuracy", subset) for subset in ("published", "corrected"))
    assert published is not None
    assert corrected is not None
    assert published.value == pytest.approx((predicted == test.truth).mean())
    assert corrected.value == pytest.approx((predicted == np.r_[test.truth[:50], other[50:]]).mean())


def test_evaluate_test_rows_empty_prediction_sets_are_counted() -> None:
    test = make_predictions()
    strict = Calibration(thresholds={"0.9": 0.999})
    results = Results(evaluate.evaluate_test_rows(test, {}, strict, CLASSES, PARAMS))
    empty, size = results.get("empty_at_90"), results.get("set_size_at_90")
    assert empty is not None
    assert size is not None
    assert empty.value == pytest.approx((test.calibrated.max(1) < 0.999).mean())
    assert 0 < empty.value == pytest.approx(1 - size.value)
