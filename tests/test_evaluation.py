"""What is measured of a model: subsets, sets, subgroups, patients, suspects; curves; baselines; alterations."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from heads import head
from sklearn import metrics as sk

from brain_tumor import baselines, curves, evaluation
from brain_tumor.calibration import Calibration, calibrate
from brain_tumor.evaluation import EvaluateParams, Predicted
from brain_tumor.results import Results
from brain_tumor.robustness import USUAL, Alteration, alter

PARAMS = EvaluateParams(rounds=100, seed=0)
CLASSES = ("a", "b", "c")
LEAST = Calibration(temperature=1.0, least={"0.9": 0.3, "0.95": 0.2})


def predicted(n: int = 60, clean: int = 40, **columns: Any) -> Predicted:
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, n)
    scores = random.random((n, 3)) + np.eye(3)[truth] / 2
    probabilities = scores / scores.sum(1, keepdims=True)
    leak = [""] * clean + ["copy"] * (n - clean)
    rows = pd.DataFrame({"row": range(n), "path": [f"{k}.png" for k in range(n)], "leak": leak, **columns})
    rows["group"] = [f"g{k}" for k in range(n)]
    rows["label"] = [CLASSES[k] for k in truth]
    return Predicted(rows, truth, probabilities**2 / (probabilities**2).sum(1, keepdims=True), probabilities)


def test_all_clean_and_leaking_rows_are_measured_and_the_difference() -> None:
    test = predicted()
    worst = {"worst": np.eye(3)[(test.truth + 1) % 3]}
    found = Results(evaluation.evaluate(test, worst, LEAST, CLASSES, PARAMS))
    right = test.calibrated.argmax(1) == test.truth
    for subset, chosen in (("published", right), ("clean", right[:40]), ("leak: copy", right[40:])):
        figure = found.get("accuracy", subset)
        assert figure is not None
        assert figure.value == pytest.approx(chosen.mean())
        assert figure.n == len(chosen)
    difference = found.get("accuracy", "published − clean")
    assert difference is not None
    assert difference.value == pytest.approx(right.mean() - right[:40].mean())
    over = found.get("accuracy", "clean", "model − worst")
    assert over is not None
    assert over.value == pytest.approx(right[:40].mean())
    assert found.models() == ["worst"]
    assert found.leaked() == {"copy": 20, "mirrored": 0, "related": 0}
    uncalibrated, calibrated = found.get("ece", model="uncalibrated"), found.get("ece")
    assert uncalibrated is not None
    assert calibrated is not None
    assert uncalibrated.value != calibrated.value


def test_prediction_sets_are_counted() -> None:
    test = predicted()
    found = Results(evaluation.evaluate(test, {}, LEAST, CLASSES, PARAMS))
    inside = test.calibrated >= 0.3
    for figure, values in (
        ("coverage_at_90", inside[np.arange(60), test.truth]), ("set_size_at_90", inside.sum(1))
    ):  # fmt: skip
        measured = found.get(figure)
        assert measured is not None
        assert measured.value == pytest.approx(values.mean())
    of_class = found.get("coverage_at_90", "published", "model", "b")
    assert of_class is not None
    assert of_class.value == pytest.approx(inside[test.truth == 1, 1].mean())


def test_subgroups_follow_what_is_known() -> None:
    ages = ["33", "59", "60", "", "x", "41"]
    rows = pd.DataFrame({"plane": ["axial"] * 6, "sex": ["f", "m", "f", "m", "", "f"], "age": ages})
    rows["width"], rows["height"] = ["5", "5", "6", "7", "8", "5"], ["5"] * 6
    found = {name: chosen.tolist() for name, chosen in evaluation.subgroups(rows)}
    assert found["sex: f"] == [True, False, True, False, False, True]
    assert found["age: 40 to 59"] == [False, True, False, False, False, True]
    assert found["size: 5×5"] == [True, True, False, False, False, True]
    assert not [name for name in found if name.startswith("plane")], "one value divides nothing"
    assert sum(map(sum, (found[name] for name in found if name.startswith("size")))) == 6


def test_patients_have_the_mean_of_their_slices() -> None:
    test = predicted(patient=[f"p{k // 3}" for k in range(60)])
    test = test._replace(truth=np.repeat(np.arange(20) % 3, 3))
    found = Results(evaluation.by_patient(test, CLASSES, PARAMS))
    means = test.calibrated.reshape(20, 3, 3).mean(1)
    every, clean = (found.get("accuracy", subset, "model, by patient") for subset in ("published", "clean"))
    assert every is not None
    assert clean is not None
    assert every.value == pytest.approx((means.argmax(1) == np.arange(20) % 3).mean())
    assert (every.n, clean.n) == (20, 13)
    assert evaluation.by_patient(predicted(), CLASSES, PARAMS).empty


def test_what_the_model_is_surer_of_than_the_label_is_suspected() -> None:
    test = predicted()
    probabilities = test.calibrated.copy()
    probabilities[7] = np.eye(3)[(test.truth[7] + 1) % 3] * 0.97 + 0.01
    table = evaluation.suspects(test.rows, test.truth, probabilities, CLASSES)
    assert table["row"][0] == 7
    assert table["suggested"][0] == CLASSES[(test.truth[7] + 1) % 3]
    assert evaluation.suspects(test.rows, test.truth, np.eye(3)[test.truth], CLASSES).empty


def test_headline_is_short_and_says_how_intervals_were_made() -> None:
    test = predicted(clean=0)
    found = evaluation.headline(evaluation.evaluate(test, {}, LEAST, CLASSES, PARAMS), PARAMS)
    assert set(found["published"]) == {"n", "interval", *evaluation.HEADLINE}
    low, high = found["published"]["interval"]["accuracy"]
    assert low <= found["published"]["accuracy"] <= high
    assert found["clean"] == {"n": 0}
    assert "100 rounds" in found["intervals"][0]


def test_alterations_are_compared_with_the_unaltered_images() -> None:
    test = predicted()
    table = evaluation.under_alterations(test, {"worse": np.roll(test.calibrated, 1, axis=1)}, CLASSES, PARAMS)
    value = table.set_index(["alteration", "subset", "figure"])["value"]
    for subset in ("published", "clean"):
        change = value["worse", subset, "accuracy"] - value["unaltered", subset, "accuracy"]
        assert value["worse − unaltered", subset, "accuracy"] == pytest.approx(change)


@pytest.mark.parametrize("alteration", USUAL, ids=str)
def test_an_alteration_changes_pixels_and_keeps_the_shape(alteration: Alteration) -> None:
    images = np.stack([head(n) for n in range(3)])
    altered = alter(images, alteration, 0)
    assert altered.shape == images.shape
    assert altered.dtype == np.uint8
    assert (altered != images).any()
    np.testing.assert_array_equal(altered, alter(images, alteration, 0))
    # Strong enough to matter and no other picture.
    if alteration.kind not in ("left-right", "up-down", "rotation", "crop"):
        assert np.corrcoef(altered.ravel(), images.ravel())[0, 1] > 0.85


@pytest.mark.parametrize(("kind", "strength"), [("blur", 0.0), ("crop", 0.5), ("gamma", -1.0), ("left-right", 1.0)])
def test_impossible_alterations_are_errors(kind: str, strength: float) -> None:
    with pytest.raises(ValueError, match=f"the strength of {kind} goes from"):
        Alteration.model_validate({"kind": kind, "strength": strength})


def test_an_alteration_named_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="names an alteration twice"):
        EvaluateParams(rounds=100, seed=0, robustness=(USUAL[0], USUAL[0]))


def test_thresholds_with_nine_digits_still_hold_the_rows_that_made_them() -> None:
    logits = torch.tensor([[26.0, 0.0], [0.0, 26.0]]).repeat(30, 1)
    truth = torch.tensor([0, 1]).repeat(30)
    probabilities = logits.double().softmax(-1).numpy()
    sets = evaluation.prediction_sets(probabilities, truth.numpy(), calibrate(logits, truth, "softmax"))
    assert sets["coverage_at_90"].mean() == 1.0


def test_no_alteration_at_its_neutral_strength() -> None:
    images = np.stack([head(n) for n in range(2)])
    for kind, strength in (("rotation", 0), ("gamma", 1), ("noise", 0), ("resolution", 1), ("crop", 0)):
        neutral = Alteration.model_validate({"kind": kind, "strength": float(strength)})
        np.testing.assert_array_equal(alter(images, neutral, 0), images)


def test_curves_agree_with_their_areas() -> None:
    test = predicted(400)
    table = curves.roc(test.truth, test.calibrated, CLASSES)
    for k, label in enumerate(CLASSES):
        area = sk.roc_auc_score(test.truth == k, test.calibrated[:, k])
        assert np.trapezoid(table[f"class {label}"], table["false_positive_rate"]) == pytest.approx(area, abs=0.01)
    assert np.allclose(table["macro"], table[[f"class {label}" for label in CLASSES]].mean(axis=1))
    table = curves.precision_recall(test.truth, test.calibrated, CLASSES)
    assert table["class a"].is_monotonic_decreasing
    assert table["class a"].iloc[-1] >= (test.truth == 0).mean() - 1e-9
    lost = curves.roc(np.zeros(4, np.int64), test.calibrated[:4], CLASSES)
    assert lost["class b"].isna().all(), "a class that does not occur has no curve"


def test_coverage_ends_at_the_accuracy_and_does_not_hang_on_the_order_of_equals() -> None:
    test = predicted()
    table = curves.coverage(test.truth, test.calibrated)
    assert table["accuracy"].iloc[-1] == pytest.approx((test.calibrated.argmax(1) == test.truth).mean())
    levels = test.calibrated.round(1) + np.array([0.001, 0, 0])
    order = np.random.default_rng(0).permutation(60)
    pd.testing.assert_frame_equal(
        curves.coverage(test.truth, levels), curves.coverage(test.truth[order], levels[order])
    )


def test_net_benefit_by_hand() -> None:
    positive, scores = np.array([True, True, False, False]), np.array([0.9, 0.4, 0.6, 0.1])
    table = curves.decisions(positive, scores).set_index("threshold")
    half = table.loc[0.5]
    assert half["model"] == pytest.approx(1 / 4 - 1 / 4)
    assert half["treat_all"] == pytest.approx(0)
    assert table["model"][0.2] == pytest.approx(2 / 4 - 1 / 4 * 0.25)


def test_baselines_find_what_can_be_found_and_know_only_training_rows() -> None:
    random = np.random.default_rng(0)
    targets = np.arange(60) % 3
    images = np.stack([(head(n % 7, 48) * (0.4 + 0.3 * targets[n])).astype(np.uint8) for n in range(60)])
    facts = np.stack([random.normal(size=60), targets * 10.0], 1)
    parts = [np.arange(0, 36), np.arange(36, 45), np.arange(45, 60)]
    found = baselines.predict(images, facts, targets, parts, 3, seed=0)
    accuracy = {name: (p.argmax(1) == targets[45:]).mean() for name, p in found.items()}
    assert accuracy["majority"] == pytest.approx(1 / 3)
    assert accuracy["file metadata"] > 0.9
    assert accuracy["intensity statistics"] == 1.0
    assert accuracy["nearest thumbnail"] == 1.0
    for probabilities in found.values():
        np.testing.assert_allclose(probabilities.sum(1), 1)
    other = targets.copy()
    other[45:] = 0
    again = baselines.predict(images, facts, other, parts, 3, seed=0)
    for name, probabilities in found.items():
        np.testing.assert_array_equal(probabilities, again[name])


def test_baselines_with_a_class_that_training_lacks() -> None:
    targets = np.r_[np.arange(20) % 2, 2, 2]
    images, facts = np.stack([head(n, 40) for n in range(22)]), np.arange(22.0)[:, None]
    found = baselines.predict(images, facts, targets, [np.arange(12), np.arange(12, 16), np.arange(16, 22)], 3, seed=0)
    assert all((probabilities[:, 2] == 0).all() for probabilities in found.values())


def test_facts_of_files() -> None:
    from brain_tumor.encoding import encode

    content = encode(head(1))
    height, width = head(1).shape
    assert baselines.file_facts(content) == [len(content), width, height, width / height, 2]
    assert baselines.file_facts(b"DICM") == [4, 0, 0, 0, 0]
