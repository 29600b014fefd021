"""The bootstrap: what it draws, and that its intervals are wide where evidence is thin."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from brain_tumor.intervals import Rounds, Sample, View, means, measure, resample
from brain_tumor.metrics import error_if_calibrated

ROUNDS = Rounds(rounds=200, seed=0)
CLASSES = ("a", "b", "c")


def case(n: int = 150, size: int = 3, seed: int = 0) -> tuple[Sample, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.integers(0, size, n)
    scores = random.random((n, size)) + np.eye(size)[truth] / 2
    return Sample(truth, [f"g{i}" for i in range(n)], list(map(str, truth))), scores / scores.sum(1, keepdims=True)


def of(table: pd.DataFrame, figure: str, **where: str) -> "pd.Series[Any]":
    for column, value in {"figure": figure, "class": "", **where}.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def everything(probabilities: np.ndarray, model: str = "m", subset: str = "all") -> View:
    return View(model, subset, probabilities, np.ones(len(probabilities), bool))


def test_every_figure_lies_in_its_interval_and_draws_follow_the_seed() -> None:
    sample, probabilities = case()
    found = measure(sample, [everything(probabilities)], CLASSES, ROUNDS)
    assert set(found.loc[found["class"] == "", "n"]) == {150}
    assert of(found, "recall", **{"class": "a"})["n"] == (sample.truth == 0).sum()
    assert (found["low"] <= found["value"]).all()
    assert (found["value"] <= found["high"]).all()
    assert of(found, "accuracy")["wilson_low"] < of(found, "accuracy")["value"]
    again = measure(sample, [everything(probabilities)], CLASSES, ROUNDS)
    pd.testing.assert_frame_equal(found, again)
    other = measure(sample, [everything(probabilities)], CLASSES, Rounds(rounds=200, seed=1))
    assert of(other, "auroc")["low"] != of(found, "auroc")["low"]
    assert of(other, "auroc")["value"] == of(found, "auroc")["value"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_number_of_processes_changes_nothing(monkeypatch: pytest.MonkeyPatch, workers: str) -> None:
    sample, probabilities = case(40)
    monkeypatch.setenv("WORKERS", "3")
    expected = measure(sample, [everything(probabilities)], CLASSES, ROUNDS)
    monkeypatch.setenv("WORKERS", workers)
    pd.testing.assert_frame_equal(measure(sample, [everything(probabilities)], CLASSES, ROUNDS), expected)


def test_intervals_narrow_with_independent_groups_and_not_with_copies() -> None:
    random = np.random.default_rng(0)
    truth = np.repeat([0, 1], 100)
    probabilities = np.eye(2)[np.where(random.random(200) < 0.8, truth, 1 - truth)]
    widths = []
    for size in (1, 20):
        sample = Sample(truth, [f"g{i // size:03d}" for i in range(200)], list(map(str, truth)))
        found = of(measure(sample, [everything(probabilities)], "ab", ROUNDS), "accuracy")
        assert found["low"] < found["value"] < found["high"]
        widths.append(found["high"] - found["low"])
    copies = everything(np.repeat(probabilities[::20], 20, 0))
    found = of(measure(sample._replace(truth=np.repeat(truth[::20], 20)), [copies], "ab", ROUNDS), "accuracy")
    assert found["high"] - found["low"] > 2 * widths[0], "twenty copies of one image are one piece of evidence"


def test_resample_draws_whole_groups_and_as_many_of_each_stratum() -> None:
    sample = Sample(np.array([0, 0, 0, 1, 1, 1, 1]), list("aabccde"), list("xxxyyyy"))
    weights = resample(sample, 0, ROUNDS)
    assert weights.shape == (100, 7)
    for group in "ac":
        members = [i for i, name in enumerate(sample.groups) if name == group]
        assert (weights[:, members] == weights[:, members[:1]]).all()
    first = [list(sample.groups).index(name) for name in "abcde"]
    assert (weights[:, first[:2]].sum(1) == 2).all()
    assert (weights[:, first[2:]].sum(1) == 3).all()
    assert (resample(sample, 1, ROUNDS) != weights).any()


def test_the_calibration_error_of_a_calibrated_model_may_be_nothing() -> None:
    """Resampling makes the error larger: percentiles would shut out the truth, which is 0 here."""
    random = np.random.default_rng(1)
    probabilities = random.dirichlet(np.ones(3), 300)
    truth = np.array([random.choice(3, p=row) for row in probabilities])
    sample = Sample(truth, [f"g{i}" for i in range(300)], ["all"] * 300)
    found = of(measure(sample, [everything(probabilities)], CLASSES, ROUNDS), "ece")
    assert found["low"] < 0.02 < found["value"] <= found["high"]
    expected = error_if_calibrated(probabilities.max(1), 0)
    assert found["value"] == pytest.approx(expected, abs=0.03)


def test_differences_are_measured_on_the_same_resamples() -> None:
    sample, probabilities = case()
    worse = probabilities.copy()
    worse[:30] = np.roll(worse[:30], 1, axis=1)
    half = np.arange(150) < 75
    views = [everything(probabilities), everything(worse, "w"), View("m", "half", probabilities, half)]
    found = measure(sample, views, CLASSES, ROUNDS, [(0, 1), (0, 2)])
    paired = of(found, "accuracy", model="m − w", subset="all")
    accuracies = [of(found, "accuracy", model=model, subset="all") for model in "mw"]
    assert paired["value"] == pytest.approx(accuracies[0]["value"] - accuracies[1]["value"])
    apart = sum(one["high"] - one["low"] for one in accuracies)
    assert paired["high"] - paired["low"] < apart, "what both share cancels"
    assert of(found, "accuracy", model="m", subset="all − half")["n"] == 75


def test_means_of_rows_leave_out_what_is_not_known() -> None:
    sample, _ = case(40)
    values = np.random.default_rng(0).random(40)
    gaps = np.where(np.arange(40) % 2 == 0, values, np.nan)
    found = means(sample, {"all": values, "half": gaps, "none": gaps * np.nan}, ROUNDS)
    assert found["all"][0] == pytest.approx(values.mean())
    assert found["half"][0] == pytest.approx(values[::2].mean())
    assert found["half"][1] < found["half"][0] < found["half"][2]
    assert found["half"][2] - found["half"][1] > found["all"][2] - found["all"][1]
    assert np.isnan(found["none"]).all()


def test_views_without_rows_give_no_figures() -> None:
    sample, probabilities = case(10)
    none = View("m", "none", probabilities, np.zeros(10, bool))
    assert measure(sample, [none], CLASSES, ROUNDS, [(0, 0)]).empty
    found = measure(sample, [none, everything(probabilities)], CLASSES, ROUNDS, [(0, 1)])
    assert set(found["subset"]) == {"all"}


def test_a_single_row_has_figures_and_the_undefined_ones_stay_empty() -> None:
    sample = Sample(np.array([1]), ["g"], ["s"])
    found = measure(sample, [everything(np.array([[0.2, 0.5, 0.3]]))], CLASSES, ROUNDS)
    assert of(found, "accuracy")["value"] == of(found, "accuracy")["low"] == 1.0
    assert np.isnan(of(found, "auroc")["value"])
    assert np.isnan(of(found, "auroc")["low"])
