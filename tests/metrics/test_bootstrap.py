"""The bootstrap: its resamples, intervals and differences."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from brain_tumor.metrics.bootstrap import (
    BootstrapParams,
    Estimate,
    PredictionSet,
    ResamplingUnits,
    bootstrap_means,
    bootstrap_metrics,
    resample,
)

PARAMS = BootstrapParams(rounds=200, seed=0)
CLASSES = ("a", "b", "c")


def make_case(n: int = 150, size: int = 3, seed: int = 0) -> tuple[ResamplingUnits, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.integers(0, size, n)
    scores = random.random((n, size)) + np.eye(size)[truth] / 2
    units = ResamplingUnits(truth, [f"g{i}" for i in range(n)], list(map(str, truth)))
    return units, scores / scores.sum(1, keepdims=True)


def select(table: pd.DataFrame, metric: str, **where: str) -> "pd.Series[Any]":
    key = {"metric": metric, "class": "", "reference": "", "reference_subset": ""}
    for column, value in {**key, **where}.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def all_rows(probabilities: np.ndarray, model: str = "m", subset: str = "all") -> PredictionSet:
    return PredictionSet(model, subset, probabilities, np.ones(len(probabilities), bool))


def test_bootstrap_metrics_intervals_contain_values_and_repeat() -> None:
    units, probabilities = make_case()
    table = bootstrap_metrics(units, [all_rows(probabilities)], CLASSES, PARAMS)
    assert set(table.loc[table["class"] == "", "n"]) == {150}
    assert select(table, "recall", **{"class": "a"})["n"] == (units.truth == 0).sum()
    assert select(table, "ece")[["low", "high"]].isna().all(), "it is biased: calibration_error has the interval"
    table = table[table["metric"] != "ece"]
    assert (table["low"] < table["value"]).sum() > 0.9 * len(table)
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()
    for label, count in zip(CLASSES, np.bincount(units.truth), strict=True):
        assert set(table.loc[table["class"] == label, "n"]) == {count}
    repeated = bootstrap_metrics(units, [all_rows(probabilities)], CLASSES, PARAMS)
    pd.testing.assert_frame_equal(table, repeated[repeated["metric"] != "ece"])
    other = bootstrap_metrics(units, [all_rows(probabilities)], CLASSES, BootstrapParams(rounds=200, seed=1))
    assert select(other, "auprc")["low"] != select(table, "auprc")["low"]
    assert select(other, "auroc")["value"] == select(table, "auroc")["value"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_bootstrap_metrics_number_of_workers_changes_nothing(monkeypatch: pytest.MonkeyPatch, workers: str) -> None:
    units, probabilities = make_case(40)
    monkeypatch.setenv("WORKERS", "3")
    expected = bootstrap_metrics(units, [all_rows(probabilities)], CLASSES, PARAMS)
    monkeypatch.setenv("WORKERS", workers)
    pd.testing.assert_frame_equal(bootstrap_metrics(units, [all_rows(probabilities)], CLASSES, PARAMS), expected)


def test_bootstrap_metrics_intervals_are_wider_for_fewer_groups() -> None:
    random = np.random.default_rng(0)
    truth = np.repeat([0, 1], 100)
    probabilities = np.eye(2)[np.where(random.random(200) < 0.8, truth, 1 - truth)]
    widths = []
    for size in (1, 20):
        units = ResamplingUnits(truth, [f"g{i // size:03d}" for i in range(200)], list(map(str, truth)))
        estimate = select(bootstrap_metrics(units, [all_rows(probabilities)], "ab", PARAMS), "accuracy")
        assert estimate["low"] < estimate["value"] < estimate["high"]
        widths.append(estimate["high"] - estimate["low"])
    copies = all_rows(np.repeat(probabilities[::20], 20, 0))
    repeated = units._replace(truth=np.repeat(truth[::20], 20))
    estimate = select(bootstrap_metrics(repeated, [copies], "ab", PARAMS), "accuracy")
    assert estimate["high"] - estimate["low"] > 2 * widths[0], "twenty duplicates of an image are one observation"


def test_resample_draws_whole_groups_and_keeps_the_strata() -> None:
    units = ResamplingUnits(np.array([0, 0, 0, 1, 1, 1, 1]), list("aabccde"), list("xxxyyyy"))
    weights = resample(units, 0, PARAMS)
    assert weights.shape == (100, 7)
    for group in "ac":
        members = [i for i, name in enumerate(units.groups) if name == group]
        assert (weights[:, members] == weights[:, members[:1]]).all()
    first = [list(units.groups).index(name) for name in "abcde"]
    assert (weights[:, first[:2]].sum(1) == 2).all()
    assert (weights[:, first[2:]].sum(1) == 3).all()
    assert (resample(units, 1, PARAMS) != weights).any()


def test_bootstrap_metrics_differences_use_the_same_resamples() -> None:
    units, probabilities = make_case()
    worse = probabilities.copy()
    worse[:30] = np.roll(worse[:30], 1, axis=1)
    half = np.arange(150) < 75
    sets = [all_rows(probabilities), all_rows(worse, "w"), PredictionSet("m", "half", probabilities, half)]
    table = bootstrap_metrics(units, sets, CLASSES, PARAMS, [(0, 1), (0, 2)])
    paired = select(table, "accuracy", model="m", reference="w", subset="all")
    accuracies = [select(table, "accuracy", model=model, subset="all") for model in "mw"]
    assert paired["value"] == pytest.approx(accuracies[0]["value"] - accuracies[1]["value"])
    unpaired = sum(accuracy["high"] - accuracy["low"] for accuracy in accuracies)
    assert paired["high"] - paired["low"] < unpaired, "what both have in common cancels out"
    assert select(table, "accuracy", model="m", subset="all", reference_subset="half")["n"] == 75


def test_bootstrap_metrics_no_difference_between_sets_of_different_classes() -> None:
    units, probabilities = make_case()
    without_c = PredictionSet("m", "part", probabilities, units.truth < 2)
    table = bootstrap_metrics(units, [all_rows(probabilities), without_c], CLASSES, PARAMS, [(0, 1)])
    assert set(table["reference_subset"]) == {""}
    assert select(table, "macro_f1", subset="part")["n"] == (units.truth < 2).sum()
    assert table.loc[(table["subset"] == "part") & (table["class"] == "c"), "value"].isna().any()


def test_bootstrap_means_leave_out_nan() -> None:
    units, _ = make_case(40)
    values = np.random.default_rng(0).random(40)
    gaps = np.where(np.arange(40) % 2 == 0, values, np.nan)
    means = bootstrap_means(units, {"all": values, "half": gaps, "none": gaps * np.nan}, PARAMS)
    assert means["all"][0] == pytest.approx(values.mean())
    assert means["half"][0] == pytest.approx(values[::2].mean())
    assert means["half"][1] < means["half"][0] < means["half"][2]
    assert means["half"][2] - means["half"][1] > means["all"][2] - means["all"][1]
    assert np.isnan(means["none"]).all()


def test_bootstrap_means_of_differences_of_hits_are_no_proportions() -> None:
    units, _ = make_case(30)
    one_more = (np.arange(30) == 0).astype(float)
    means = bootstrap_means(units, {"pointing": one_more, "difference": one_more}, PARAMS, ["pointing"])
    assert means["pointing"][1] > 0
    assert means["difference"][1] == 0.0, "one better image of 30 shows nothing"
    constant = bootstrap_means(units, {"change": np.zeros(30)}, PARAMS)["change"]
    assert constant[0] == 0.0
    assert np.isnan(constant[1:]).all()


def test_bootstrap_metrics_differences_by_class_have_the_n_of_the_class() -> None:
    units, probabilities = make_case()
    table = bootstrap_metrics(
        units, [all_rows(probabilities), all_rows(probabilities[::-1], "w")], CLASSES, PARAMS, [(0, 1)]
    )
    differences = table[(table["reference"] == "w") & (table["metric"] == "recall")].set_index("class")["n"]
    assert differences.to_dict() == dict(zip(CLASSES, np.bincount(units.truth), strict=True))


def test_bootstrap_metrics_boolean_means_are_proportions_and_others_are_not() -> None:
    units, probabilities = make_case(40)
    covered = np.arange(40) < 39
    means = {"coverage": covered, "size": covered.astype(float), "constant": np.ones(40)}
    table = bootstrap_metrics(units, [all_rows(probabilities)._replace(means=means)], CLASSES, PARAMS)
    coverage, size, constant = (select(table, name) for name in means)
    assert coverage["value"] == size["value"]
    assert coverage["high"] < 1 == size["high"]
    assert np.isnan(constant["low"])


def test_bootstrap_metrics_sets_without_rows_are_left_out() -> None:
    units, probabilities = make_case(10)
    none = PredictionSet("m", "none", probabilities, np.zeros(10, bool))
    assert bootstrap_metrics(units, [none], CLASSES, PARAMS, [(0, 0)]).empty
    table = bootstrap_metrics(units, [none, all_rows(probabilities)], CLASSES, PARAMS, [(0, 1)])
    assert set(table["subset"]) == {"all"}


def test_bootstrap_metrics_single_row_leaves_undefined_metrics_empty() -> None:
    units = ResamplingUnits(np.array([1]), ["g"], ["s"])
    table = bootstrap_metrics(units, [all_rows(np.array([[0.2, 0.5, 0.3]]))], CLASSES, PARAMS)
    accuracy = select(table, "accuracy")
    assert accuracy["value"] == accuracy["high"] == 1.0
    assert accuracy["low"] < 0.25
    assert np.isnan(select(table, "auroc")["value"])
    assert np.isnan(select(table, "auroc")["low"])


def test_bootstrap_metrics_attribute_becomes_columns() -> None:
    units, probabilities = make_case(20)
    axial = PredictionSet("m", "all", probabilities, np.arange(20) < 12, {}, "plane", "axial, clean")
    table = bootstrap_metrics(units, [all_rows(probabilities), axial], CLASSES, PARAMS)
    assert select(table, "accuracy", attribute="plane", attribute_value="axial, clean")["n"] == 12
    assert select(table, "accuracy", attribute="")["n"] == 20


def test_estimate_text_has_the_interval_if_there_is_one() -> None:
    assert str(Estimate(0.8726, 0.8124, 0.9206, 100)) == "0.873 (0.812–0.921)"
    assert str(Estimate(0.8726, np.nan, np.nan, 100)) == "0.873"
