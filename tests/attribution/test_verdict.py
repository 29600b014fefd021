"""Verdicts on attribution methods by metrics with confidence intervals."""

import pytest

from brain_tumor.attribution import verdict
from brain_tumor.attribution.constants import (
    BLURRED_NOISE,
    CENTER,
    EDGES,
    MEAN_MASK,
    MIN_IMAGES,
    OTHER_CLASS,
    RANDOM_ORDER,
    SHIFTED,
    TRUE_MASK,
)
from brain_tumor.attribution.verdict import (
    CONTROLS,
    CRITERIA,
    FAITHFUL,
    EstimateKey,
    check_controls,
    check_methods,
    method_verdict,
    rank_methods,
    summary_sentence,
)
from brain_tumor.metrics.bootstrap import Estimate

Intervals = dict[tuple[str, ...], tuple[float, float]]  # by metric, baseline, region and stage, the last ones optional


def make_estimates(intervals: Intervals, n: int = MIN_IMAGES, method: str = "m") -> dict[EstimateKey, Estimate]:
    return {
        EstimateKey(method, *key): Estimate((low + high) / 2, low, high, n) for key, (low, high) in intervals.items()
    }


BASELINES = (RANDOM_ORDER, BLURRED_NOISE, SHIFTED, CENTER)
BETTER: Intervals = {(metric, baseline): (0.1, 0.2) for metric in ("deletion", "insertion") for baseline in BASELINES}
LOCALIZING: Intervals = {
    (metric, baseline): (0.1, 0.2)
    for metric in ("relevance_inside", "pointing")
    for baseline in (MEAN_MASK, "intensity")
}
GOOD: Intervals = {
    **BETTER,
    **LOCALIZING,
    ("randomization_correlation", "", "", "head"): (-0.1, 0.2),
    ("randomization_correlation", "", "", ""): (-0.1, 0.2),
    ("mirrored", ""): (0.8, 0.9),
    ("shifted", ""): (0.8, 0.9),
    ("noisy", ""): (0.8, 0.9),
    ("excess_relevance", "", "outside_head"): (-0.2, -0.1),
}


def run_checks(changes: Intervals | None = None, n: int = MIN_IMAGES) -> tuple[list[str], str]:
    checks = check_methods(make_estimates(GOOD | (changes or {}), n), ["m"])["m"]
    return [check.verdict for check in checks], method_verdict(checks)


def summarize(intervals: Intervals) -> str:
    return summary_sentence(rank_methods(make_estimates(intervals), ["m"]))


def test_method_verdict_all_checks_passed_is_trustworthy() -> None:
    assert run_checks() == (["yes"] * 5, "trustworthy")
    assert summarize(GOOD) == "Of the methods tested, m is trustworthy: its maps show what this model uses."


@pytest.mark.parametrize(
    ("key", "interval", "number"),
    [
        (("deletion", SHIFTED), (-0.2, -0.1), 0),
        (("randomization_correlation", "", "", "head"), (0.6, 0.9), 1),
        (("randomization_correlation", "", "", ""), (0.6, 0.9), 1),
        (("noisy", ""), (0.1, 0.3), 2),
    ],
    ids=["deletion", "first stage", "last stage", "noisy"],
)
def test_method_verdict_failed_method_check_is_not_trustworthy(
    key: tuple[str, ...], interval: tuple[float, float], number: int
) -> None:
    verdicts, text = run_checks({key: interval})
    assert verdicts[number] == "no"
    assert verdicts.count("yes") == 4
    assert text == "not trustworthy"


def test_method_verdict_faithful_map_off_the_tumor() -> None:
    on_background: Intervals = {("excess_relevance", "", "outside_head"): (0.1, 0.3)}
    off_the_tumor: Intervals = {("pointing", MEAN_MASK): (-0.2, -0.1)}
    for changes in (off_the_tumor, on_background):
        verdicts, text = run_checks(changes)
        assert verdicts.count("no") == 1
        assert text == "faithful map; model attends elsewhere"
    assert summarize(GOOD | on_background).endswith("Failed: relevance lies on the head.")


def test_check_methods_not_better_than_one_baseline_is_unclear() -> None:
    changes: Intervals = {("deletion", CENTER): (-0.2, -0.1)}
    verdicts, text = run_checks(changes)
    assert verdicts[0] == "unclear", "only the baseline that was fixed beforehand can give a no"
    assert text == "undecided"
    checks = check_methods(make_estimates(GOOD | changes), ["m"])["m"]
    descriptions = [description for description, _ in checks[0].metrics]
    assert "deletion, improvement over center" in descriptions, "the strongest baseline is named"


def test_check_methods_wide_interval_is_unclear() -> None:
    assert run_checks({("randomization_correlation", "", "", "head"): (0.3, 0.8)})[0][1] == "unclear"


def test_check_methods_few_images_or_a_missing_class_decide_nothing() -> None:
    none = (["not enough images"] * 5, "not enough images")
    assert run_checks(n=MIN_IMAGES - 1) == none
    for smallest, expected in ((0, none), (1, (["yes"] * 5, "trustworthy"))):
        estimates = make_estimates(GOOD)
        estimates[EstimateKey("", "smallest_class_images")] = Estimate(smallest, float("nan"), float("nan"), MIN_IMAGES)
        checks = check_methods(estimates, ["m"])["m"]
        assert ([check.verdict for check in checks], method_verdict(checks)) == expected


def test_check_methods_are_corrected_for_their_number() -> None:
    """An interval that just excludes the limit decides one check of one method, but not one of many."""
    just: Intervals = {("excess_relevance", "", "outside_head"): (-0.2, -0.001)}
    alone = check_methods(make_estimates(just), ["m"])["m"][4]
    assert alone.verdict == "yes"
    assert run_checks(just)[0] == ["yes"] * 5, "the last of Holm's steps is not corrected"
    unclear: Intervals = {("randomization_correlation", "", "", "head"): (0.3, 0.8)}
    assert run_checks(just | unclear)[0] == ["yes", "unclear", "yes", "yes", "unclear"]


def test_method_verdict_missing_metrics_are_not_measured() -> None:
    intervals = {key: interval for key, interval in GOOD.items() if key not in LOCALIZING}
    checks = check_methods(make_estimates(intervals), ["m"])["m"]
    assert checks[3].verdict == "not measured"
    assert method_verdict(checks) == "trustworthy; other checks undecided"
    assert summarize(intervals).endswith("Undecided: localizes the tumor.")
    assert rank_methods({}, ["m"])[0][2] == "not measured"


def test_check_controls_as_expected() -> None:
    estimates = make_estimates(BETTER, 40, TRUE_MASK)
    estimates |= make_estimates(dict.fromkeys(BETTER, (-0.1, 0.1)), method=OTHER_CLASS)
    estimates |= make_estimates({("deletion",): (0.4, 0.6)}, method=CENTER)
    estimates |= make_estimates({("randomization_correlation", ""): (1.0, 1.0)}, method=EDGES)
    results = {(control.check.criterion, control.map): control for control in check_controls(estimates)}
    assert list(results) == [
        (FAITHFUL, TRUE_MASK),
        (FAITHFUL, CENTER),
        (FAITHFUL, OTHER_CLASS),
        (CRITERIA[1], EDGES),
    ]
    assert all(control.as_expected for control in results.values())
    assert results[FAITHFUL, TRUE_MASK].check.verdict == "yes"
    assert results[CRITERIA[1], EDGES].check.verdict == "no"


@pytest.mark.parametrize(("name", "interval"), [(TRUE_MASK, (-0.3, -0.2)), (OTHER_CLASS, (0.1, 0.2))])
def test_check_methods_failed_control_decides_nothing(name: str, interval: tuple[float, float]) -> None:
    """The true mask fails a check, or a map of another class passes it: so would methods."""
    estimates = make_estimates(GOOD) | make_estimates(dict.fromkeys(BETTER, interval), method=name)
    assert [control.as_expected for control in check_controls(estimates)] == [False]
    checks = check_methods(estimates, ["m"])["m"]
    assert [check.verdict for check in checks] == ["unclear", *["yes"] * 4]


def test_check_controls_few_images_leave_open() -> None:
    estimates = make_estimates(BETTER, verdict.MIN_CONTROL_IMAGES - 1, TRUE_MASK)
    estimates |= make_estimates(BETTER, verdict.MIN_CONTROL_IMAGES - 1, OTHER_CLASS)
    assert [control.as_expected for control in check_controls(estimates)] == [None, None]


def test_every_check_has_controls_of_both_kinds() -> None:
    assert list(CONTROLS) == list(CRITERIA)
    assert all(must_pass and must_fail for must_pass, must_fail in CONTROLS.values())


def test_rank_methods_puts_the_best_first() -> None:
    bad: Intervals = {**GOOD, ("noisy", ""): (0.1, 0.3)}
    estimates = make_estimates(GOOD, method="good") | make_estimates(bad, method="bad")
    ranking = rank_methods(estimates, ["bad", "good"])
    assert [(method, text) for method, _, text in ranking] == [("good", "trustworthy"), ("bad", "not trustworthy")]


def test_summary_sentence_without_a_trustworthy_method() -> None:
    bad: Intervals = {**GOOD, ("noisy", ""): (0.1, 0.3)}
    text = summarize(bad)
    assert text == "m passes 4 of 5 measured checks. Its maps alone are not evidence of what the model uses."
    estimates = make_estimates(bad) | make_estimates(bad, method="n")
    ranking = rank_methods(estimates, ["m", "n"])
    assert summary_sentence(ranking).startswith("No method is proven trustworthy; the best, m, passes 4 of 5")


def test_read_estimates_selects_class_and_leaves_out_sizes() -> None:
    row = {"map": "m", "metric": "pointing", "baseline": "", "region": "", "stage": "", "size": "", "class": ""}
    numbers = {"value": "0.5", "low": "", "high": "", "n": "9"}
    rows = [row | numbers, row | numbers | {"size": "below 1 %"}, row | numbers | {"class": "a", "value": "0.1"}]
    (estimate,) = verdict.read_estimates(rows).values()
    assert (estimate.value, estimate.n) == (0.5, 9)
    assert estimate.low != estimate.low
    assert verdict.read_estimates(rows, "a")[EstimateKey("m", "pointing")].value == 0.1
    old = {key: value for key, value in (row | numbers).items() if key != "size"}
    assert len(verdict.read_estimates([old])) == 1
