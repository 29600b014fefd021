"""Verdicts on attribution methods by metrics with confidence intervals."""

import pytest

from brain_tumor.attribution import verdict
from brain_tumor.attribution.constants import BLURRED_NOISE, CENTER, MEAN_MASK, MIN_IMAGES, RANDOM_ORDER
from brain_tumor.attribution.verdict import EstimateKey, check_method, method_verdict, rank_methods, summary_sentence
from brain_tumor.metrics.bootstrap import Estimate

Intervals = dict[tuple[str, ...], tuple[float, float]]  # by metric, baseline and, where there is one, region


def make_estimates(intervals: Intervals, n: int = 40, method: str = "m") -> dict[EstimateKey, Estimate]:
    return {
        EstimateKey(method, *key): Estimate((low + high) / 2, low, high, n) for key, (low, high) in intervals.items()
    }


FAITHFUL: Intervals = {
    (metric, baseline): (0.1, 0.2)
    for metric in ("deletion", "insertion", "road")
    for baseline in (RANDOM_ORDER, BLURRED_NOISE, CENTER)
}
LOCALIZING: Intervals = {
    (metric, baseline): (0.1, 0.2)
    for metric in ("relevance_inside", "pointing")
    for baseline in (MEAN_MASK, "intensity")
}
GOOD: Intervals = {
    **FAITHFUL,
    **LOCALIZING,
    ("randomization_correlation", ""): (-0.1, 0.2),
    ("mirrored", ""): (0.8, 0.9),
    ("shifted", ""): (0.8, 0.9),
    ("noisy", ""): (0.8, 0.9),
    ("excess_relevance", "", "outside_head"): (-0.2, -0.1),
}


def run_checks(changes: Intervals | None = None, n: int = 40) -> tuple[list[str], str]:
    checks = check_method(make_estimates(GOOD | (changes or {}), n), "m")
    return [check.verdict for check in checks], method_verdict(checks)


def summarize(intervals: Intervals) -> str:
    return summary_sentence(rank_methods(make_estimates(intervals), ["m"]))


def test_method_verdict_all_checks_passed_is_trustworthy() -> None:
    assert run_checks() == (["yes"] * 5, "trustworthy")
    assert summarize(GOOD) == "Of the methods tested, m is trustworthy: its maps show what this model uses."


@pytest.mark.parametrize(
    ("key", "interval", "number"),
    [
        (("road", RANDOM_ORDER), (-0.1, 0.0), 0),
        (("randomization_correlation", ""), (0.6, 0.9), 1),
        (("noisy", ""), (0.1, 0.3), 2),
    ],
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


def test_check_method_not_better_than_one_baseline_is_unclear() -> None:
    changes: Intervals = {("road", CENTER): (-0.1, 0.0)}
    verdicts, text = run_checks(changes)
    assert verdicts[0] == "unclear", "only the baseline that was fixed beforehand can give a no"
    assert text == "undecided"
    checks = check_method(make_estimates(GOOD | changes), "m")
    descriptions = [description for description, _ in checks[0].metrics]
    assert "road, improvement over center" in descriptions, "the strongest baseline is named"


def test_check_method_wide_interval_or_few_images_is_unclear() -> None:
    assert run_checks({("randomization_correlation", ""): (0.3, 0.8)})[0][1] == "unclear"
    assert run_checks({("randomization_correlation", ""): (0.1, 0.1)})[0][1] == "unclear"
    assert run_checks(n=MIN_IMAGES - 1) == (["unclear"] * 5, "undecided")


def test_method_verdict_missing_metrics_are_not_measured() -> None:
    intervals = {key: interval for key, interval in GOOD.items() if key not in LOCALIZING}
    checks = check_method(make_estimates(intervals), "m")
    assert checks[3].verdict == "not measured"
    assert method_verdict(checks) == "trustworthy; other checks undecided"
    assert summarize(intervals).endswith("Undecided: localizes the tumor.")
    assert method_verdict(check_method({}, "m")) == "not measured"


def test_rank_methods_fewest_failed_checks_first() -> None:
    bad = GOOD | {("randomization_correlation", ""): (0.7, 0.9)}
    both = make_estimates(GOOD, method="good") | make_estimates(bad, method="bad")
    ranking = rank_methods(both, ["bad", "good"])
    assert [method for method, *_ in ranking] == ["good", "bad"]
    assert summary_sentence(ranking).startswith("Of the methods tested, good is trustworthy")
    evidence = "Its maps alone are not evidence of what the model uses."
    assert summarize(bad) == f"m passes 4 of 5 measured checks. {evidence}"
    all_bad = make_estimates(bad, method="one") | make_estimates(bad, method="two")
    expected = f"No method is proven trustworthy; the best, one, passes 4 of 5 measured checks. {evidence}"
    assert summary_sentence(rank_methods(all_bad, ["one", "two"])) == expected


def test_read_estimates_selects_class_and_final_stage() -> None:
    row = dict.fromkeys(("baseline", "stage", "region", "class"), "") | {"map": "m", "metric": "road", "n": "3"}
    row |= {"value": "0.5", "low": "0.4", "high": "0.6"}
    changes = [{}, {"baseline": "center", "value": "0.3"}, {"class": "glioma", "value": "9"}, {"stage": "head"}]
    changes.append({"region": "corners", "value": "0.1"})
    rows = [row | change for change in changes]
    assert verdict.read_estimates(rows) == {
        EstimateKey("m", "road"): Estimate(0.5, 0.4, 0.6, 3),
        EstimateKey("m", "road", "center"): Estimate(0.3, 0.4, 0.6, 3),
        EstimateKey("m", "road", region="corners"): Estimate(0.1, 0.4, 0.6, 3),
    }
    assert verdict.read_estimates(rows, "glioma") == {EstimateKey("m", "road"): Estimate(9, 0.4, 0.6, 3)}
