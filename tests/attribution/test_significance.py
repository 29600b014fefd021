"""P values from intervals, and Holm's method."""

import pytest
from scipy.stats import norm

from brain_tumor.attribution.significance import Comparison, p_failure, p_success, reject_holm
from brain_tumor.metrics.bootstrap import Estimate


def compare(value: float, low: float, high: float, above: bool = True, can_fail: bool = True) -> Comparison:
    return Comparison("m", Estimate(value, low, high, 200), 0.0, above, can_fail)


@pytest.mark.parametrize("above", [True, False], ids=["above", "below"])
def test_p_value_equals_that_of_a_normal_distribution(above: bool) -> None:
    sign = 1 if above else -1
    low, high = sorted(sign * (0.3 + side * 1.959964 * 0.1) for side in (-1, 1))
    comparison = compare(sign * 0.3, low, high, above)
    assert comparison.p_value(True) == pytest.approx(norm.sf(3.0), rel=1e-4)
    assert comparison.p_value(False) == 1


def test_p_value_of_an_interval_that_ends_at_the_limit_is_the_significance() -> None:
    assert compare(0.2, 0.0, 0.5).p_value(True) == pytest.approx(0.025)


def test_p_value_without_an_interval_is_decided_by_the_value() -> None:
    nan = float("nan")
    assert compare(1.0, nan, nan).p_value(True) == 0
    assert compare(1.0, nan, nan).p_value(False) == 1
    assert compare(0.0, 0.0, 0.0).p_value(True) == 1, "equal to the limit is not above"


def test_p_success_and_p_failure_of_several_comparisons() -> None:
    good, bad = compare(0.2, 0.0, 0.4), compare(-0.2, -0.4, 0.0)
    assert p_success([good, good]) == pytest.approx(0.025)
    assert p_success([good, bad]) == 1
    assert p_failure([good, bad]) == pytest.approx(0.05)
    assert p_failure([good, bad._replace(can_fail=False)]) == 1


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        ([], []),
        ([0.025], [True]),
        ([0.026], [False]),
        ([0.025, 0.0125], [True, True]),
        ([0.025, 0.013], [False, False]),
        ([0.03, 0.001, 0.012], [False, True, True]),
    ],
    ids=["none", "one", "not", "both", "neither", "some"],
)
def test_reject_holm(p_values: list[float], expected: list[bool]) -> None:
    assert reject_holm(p_values) == expected
