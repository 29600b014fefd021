"""Decisions by 95 % intervals, corrected for being several."""

from collections.abc import Iterable, Sequence
from statistics import NormalDist
from typing import NamedTuple

from brain_tumor.attribution.constants import SIGNIFICANCE
from brain_tumor.metrics.bootstrap import Estimate

Z = NormalDist().inv_cdf(0.975)


class Comparison(NamedTuple):
    """A comparison of an estimate with a limit.

    Attributes:
        description: of the metric.
        limit: the value that the estimate has to be above or below.
        above: whether it has to be above.
        can_fail: whether being on the wrong side is a failure; otherwise it is not a success either.
    """

    description: str
    estimate: Estimate
    limit: float
    above: bool
    can_fail: bool = True

    def p_value(self, on_right_side: bool) -> float:
        """One-sided p value of the estimate being on the right (or wrong) side of the limit, from its interval."""
        estimate, above = self.estimate, self.above == on_right_side
        distance = estimate.value - self.limit if above else self.limit - estimate.value
        if distance <= 0:
            return 1.0
        margin = estimate.value - estimate.low if above else estimate.high - estimate.value
        # Without an interval all images have the same value.
        return 1 - NormalDist().cdf(Z * distance / margin) if margin > 0 else 0.0


def p_success(comparisons: Iterable[Comparison]) -> float:
    """P value of all comparisons being on the right side: the largest (intersection-union test)."""
    return max(comparison.p_value(True) for comparison in comparisons)


def p_failure(comparisons: Iterable[Comparison]) -> float:
    """P value of one of the comparisons being on the wrong side: the smallest, times their number (Bonferroni)."""
    values = [comparison.p_value(False) for comparison in comparisons if comparison.can_fail]
    return min(1.0, min(values) * len(values)) if values else 1.0


def reject_holm(p_values: Sequence[float]) -> list[bool]:
    """Decide which of several one-sided hypotheses are rejected by Holm's method, at SIGNIFICANCE / 2 together."""
    rejected = [False] * len(p_values)
    for rank, k in enumerate(sorted(range(len(p_values)), key=lambda k: p_values[k])):
        if p_values[k] > SIGNIFICANCE / 2 / (len(p_values) - rank):
            break
        rejected[k] = True
    return rejected
