"""Verdicts that figures with intervals give."""

import pytest

from brain_tumor import trust
from brain_tumor.trust import Span, Table

Spans = dict[str, tuple[float, float]]


def table(figures: Spans, n: int = 40) -> Table:
    return {("m", name): Span((low + high) / 2, low, high, n) for name, (low, high) in figures.items()}


BLIND, IMAGES = ("random order", "blurred random", "center"), ("mean training mask", "intensity")
GOOD: Spans = {
    **{f"{figure}_over_{other}": (0.1, 0.2) for figure in ("deletion", "insertion", "road") for other in BLIND},
    **{f"{figure}_over_{other}": (0.1, 0.2) for figure in ("relevance_inside", "pointing") for other in IMAGES},
    "untrained": (-0.1, 0.2),
    "mirrored": (0.8, 0.9),
    "shifted": (0.8, 0.9),
    "noisy": (0.8, 0.9),
    "excess_outside_head": (-0.2, -0.1),
}


def outcome(changes: Spans | None = None, without: str = "-", n: int = 40) -> tuple[list[str], str]:
    known = {name: span for name, span in (GOOD | (changes or {})).items() if not name.startswith(without)}
    each = trust.checks(table(known, n), "m")
    return [check.verdict for check in each], trust.verdict(each)


def test_a_method_that_passes_everything_deserves_trust() -> None:
    assert outcome() == (["yes"] * 5, "trust")
    assert trust.sentence(table(GOOD), ["m"]) == (
        "Of the methods tried, m deserves trust as a map of what this model uses."
    )


@pytest.mark.parametrize(
    ("figure", "span", "number"),
    [
        ("road_over_random order", (-0.1, 0.0), 0),
        ("untrained", (0.6, 0.9), 1),
        ("noisy", (0.1, 0.3), 2),
    ],
)
def test_a_method_that_fails_one_of_its_own_checks_deserves_none(
    figure: str, span: tuple[float, float], number: int
) -> None:
    verdicts, word = outcome({figure: span})
    assert verdicts[number] == "no"
    assert verdicts.count("yes") == 4
    assert word == "no trust"


def test_a_map_beside_the_tumor_is_the_map_of_a_model_that_looks_there() -> None:
    for changes in ({"pointing_over_mean training mask": (-0.2, -0.1)}, {"excess_outside_head": (0.1, 0.3)}):
        verdicts, word = outcome(changes)
        assert verdicts.count("no") == 1
        assert word == "trust the map: the model looks elsewhere"
    words = trust.sentence(table(GOOD | {"excess_outside_head": (0.1, 0.3)}), ["m"])
    assert words.endswith("Answered with no: Does it stay on the head?")


def test_no_better_than_a_smooth_map_that_knows_nothing_is_no_yes() -> None:
    verdicts, word = outcome({"road_over_center": (-0.1, 0.0)})
    assert verdicts[0] == "unclear", "the best of several is no fair opponent for a no"
    assert word == "undecided"
    each = trust.checks(table(GOOD | {"road_over_center": (-0.1, 0.0)}), "m")
    assert "road, better than center" in [words for words, _ in each[0].figures], "the nearest one is named"


def test_an_interval_on_both_sides_or_without_width_and_few_images_decide_nothing() -> None:
    assert outcome({"untrained": (0.3, 0.8)})[0][1] == "unclear"
    assert outcome({"untrained": (0.1, 0.1)})[0][1] == "unclear"
    assert outcome(n=trust.FEW - 1) == (["unclear"] * 5, "undecided")


def test_what_is_not_measured_is_said() -> None:
    known = {name: span for name, span in GOOD.items() if not name.startswith(("relevance", "pointing"))}
    each = trust.checks(table(known), "m")
    assert each[3].verdict == "not measured"
    assert trust.verdict(each) == "trust, as far as decided"
    assert trust.sentence(table(known), ["m"]).endswith("Not decided: Does it find the tumor?")


def test_methods_that_fail_least_come_first() -> None:
    bad = table(GOOD | {"untrained": (0.7, 0.9)})
    both = {("good", name): span for (_, name), span in table(GOOD).items()}
    both |= {("bad", name): span for (_, name), span in bad.items()}
    assert [method for method, *_ in trust.ranking(both, ["bad", "good"])] == ["good", "bad"]
    assert trust.sentence(bad, ["m"]) == (
        "m passes 4 of the 5 checks that could be made: its maps alone are no evidence of what the model sees."
    )


def test_rows_of_the_table_by_class_are_left_out() -> None:
    row = {"map": "m", "class": "", "figure": "road", "n": "3", "value": "0.5", "low": "0.4", "high": "0.6"}
    assert trust.spans([row, row | {"class": "glioma", "value": "9"}]) == {("m", "road"): Span(0.5, 0.4, 0.6, 3)}
