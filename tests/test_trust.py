"""Verdicts that figures with intervals give."""

import pytest

from brain_tumor import trust
from brain_tumor.trust import Span, Table


def table(**figures: tuple[float, float]) -> Table:
    return {("m", name): Span((low + high) / 2, low, high, 9) for name, (low, high) in figures.items()}


GOOD = {
    "relevance_inside_gain": (0.1, 0.2),
    "pointing_gain": (0.1, 0.2),
    "deletion_gain": (0.1, 0.2),
    "insertion_gain": (0.1, 0.2),
    "road": (0.1, 0.2),
    "untrained": (-0.1, 0.2),
    "mirrored": (0.8, 0.9),
    "shifted": (0.8, 0.9),
    "noisy": (0.8, 0.9),
    "excess_outside_head": (-0.2, -0.1),
}


def outcome(**changes: tuple[float, float] | None) -> tuple[list[str], str]:
    found = table(**{name: span for name, span in (GOOD | changes).items() if span})
    each = trust.checks(found, "m")
    return [check.verdict for check in each], trust.verdict(each)


def test_a_method_that_passes_everything_deserves_trust() -> None:
    assert outcome() == (["yes"] * 5, "trust")
    assert trust.sentence(table(**GOOD), ["m"]) == "By these figures m deserves trust."


@pytest.mark.parametrize(
    ("figure", "span", "number"),
    [
        ("pointing_gain", (-0.2, -0.1), 0),
        ("road", (-0.1, 0.0), 1),
        ("untrained", (0.6, 0.9), 2),
    ],
)
def test_one_figure_against_it_is_enough(figure: str, span: tuple[float, float], number: int) -> None:
    verdicts, word = outcome(**{figure: span})
    assert verdicts[number] == "no"
    assert verdicts.count("yes") == 4
    assert word == "no trust"


def test_unstable_maps_or_maps_beside_the_head_deserve_little() -> None:
    assert outcome(noisy=(0.1, 0.3))[1] == "little trust"
    assert outcome(excess_outside_head=(0.1, 0.3))[1] == "little trust"


def test_an_interval_on_both_sides_decides_nothing() -> None:
    verdicts, word = outcome(road=(-0.1, 0.2))
    assert verdicts[1] == "unclear"
    assert word == "undecided"


def test_what_is_not_measured_is_said() -> None:
    verdicts, word = outcome(relevance_inside_gain=None, pointing_gain=None)
    assert verdicts[0] == "not measured"
    assert word == "trust, as far as measured"


def test_methods_that_fail_least_come_first() -> None:
    both = {("good", name): span for (_, name), span in table(**GOOD).items()}
    both |= {("bad", name): span for (_, name), span in table(**GOOD | {"untrained": (0.7, 0.9)}).items()}
    assert [method for method, *_ in trust.ranking(both, ["bad", "good"])] == ["good", "bad"]
    worse = {key: span for key, span in both.items() if key[0] == "bad"}
    words = trust.sentence(worse, ["bad"])
    assert words == (
        "bad passes 4 of the 5 checks that could be made: its maps alone are no evidence of what the model sees."
    )


def test_rows_of_the_table_by_class_are_left_out() -> None:
    row = {"map": "m", "class": "", "figure": "road", "n": "3", "value": "0.5", "low": "0.4", "high": "0.6"}
    assert trust.spans([row, row | {"class": "glioma", "value": "9"}]) == {("m", "road"): Span(0.5, 0.4, 0.6, 3)}
