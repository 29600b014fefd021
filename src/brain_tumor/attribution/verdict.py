"""Verdicts on attribution methods: checks of a method's maps, each decided by metrics with confidence intervals.

The first three checks are about the method: are its maps faithful, do they depend on the weights, are they stable? The
other two are about method and model together: a faithful map of a model that attends elsewhere fails them as well.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from brain_tumor.attribution.constants import (
    MAX_RANDOMIZATION_CORRELATION,
    MEAN_MASK,
    MIN_IMAGES,
    MIN_STABILITY_CORRELATION,
    RANDOM_ORDER,
)
from brain_tumor.metrics.bootstrap import Estimate

Verdict = Literal["yes", "no", "unclear", "not measured"]
NUM_METHOD_CHECKS = 3  # the first checks, which are about the method only
TRUSTWORTHY = "trustworthy"


class Check(NamedTuple):
    """A criterion, whether a method meets it, and the metrics behind that: descriptions with their `Estimate`."""

    criterion: str
    verdict: Verdict
    metrics: tuple[tuple[str, Estimate], ...]


class EstimateKey(NamedTuple):
    """Subject of an estimate.

    Attributes:
        map: '' where no map is involved.
        baseline: '' if the estimate is not a difference from a baseline.
        region: the region of the image; '' for the whole image.
    """

    map: str
    metric: str
    baseline: str = ""
    region: str = ""


Estimates = Mapping[EstimateKey, Estimate]
Ranking = Sequence[tuple[str, Sequence[Check], str]]  # methods with their checks and verdicts, the best first


def read_estimates(rows: Iterable[Mapping[str, object]], label: str = "") -> dict[EstimateKey, Estimate]:
    """Read the rows of explain.csv, without the intermediate stages of the cascading randomization.

    Args:
        label: the class to read, or '' for the estimates over all images.
    """
    return {
        EstimateKey(str(row["map"]), str(row["metric"]), str(row["baseline"]), str(row["region"])): Estimate(
            float(str(row["value"])),
            float(str(row["low"]) or "nan"),
            float(str(row["high"]) or "nan"),
            int(str(row["n"])),
        )
        for row in rows
        if row["class"] == label and row["stage"] == ""
    }


def check_method(estimates: Estimates, method: str) -> list[Check]:
    """Run all checks of one method."""

    def check_below(metric: str, description: str, limit: float, region: str = "") -> _Part | None:
        key = EstimateKey(method, metric, region=region)
        return _compare_with_limit(estimates, key, description, limit, above=False)

    def check_above(metric: str, description: str, limit: float) -> _Part | None:
        return _compare_with_limit(estimates, EstimateKey(method, metric), description, limit, above=True)

    def check_baselines(metric: str, reference: str) -> _Part | None:
        return _compare_with_baselines(estimates, method, metric, reference)

    return [
        _combine(
            "faithful (deletion/insertion)",
            [check_baselines(metric, RANDOM_ORDER) for metric in ("deletion", "insertion", "road")],
        ),
        _combine(
            "passes randomization test",
            [
                check_below(
                    "randomization_correlation",
                    "rank correlation with the maps of the randomized model",
                    MAX_RANDOMIZATION_CORRELATION,
                )
            ],
        ),
        _combine(
            "stable under small perturbations",
            [
                check_above("mirrored", "rank correlation, mirrored image", MIN_STABILITY_CORRELATION),
                check_above("shifted", "shifted by a few pixels", MIN_STABILITY_CORRELATION),
                check_above("noisy", "with slight noise", MIN_STABILITY_CORRELATION),
            ],
        ),
        _combine(
            "localizes the tumor", [check_baselines(metric, MEAN_MASK) for metric in ("relevance_inside", "pointing")]
        ),
        _combine(
            "relevance lies on the head",
            [
                check_below(
                    "excess_relevance",
                    "relevance outside the head, minus the fraction of the area",
                    0.0,
                    "outside_head",
                )
            ],
        ),
    ]


class _Part(NamedTuple):
    """A metric of a check, and its verdict."""

    description: str
    estimate: Estimate
    verdict: Verdict


def _combine(criterion: str, parts: Sequence[_Part | None]) -> Check:
    """Combine the metrics of a check: `no` if the verdict of one is no, `yes` if all are yes."""
    measured = [part for part in parts if part is not None]
    verdicts = {part.verdict for part in measured}
    verdict: Verdict = "unclear"
    if not verdicts:
        verdict = "not measured"
    elif "no" in verdicts:
        verdict = "no"
    elif verdicts == {"yes"}:
        verdict = "yes"
    return Check(criterion, verdict, tuple((part.description, part.estimate) for part in measured))


def _compare_with_limit(
    estimates: Estimates, key: EstimateKey, description: str, limit: float, above: bool
) -> _Part | None:
    estimate = estimates.get(key)
    return None if estimate is None else _Part(description, estimate, _decide(estimate, limit, above))


def _compare_with_baselines(estimates: Estimates, method: str, metric: str, reference: str) -> _Part | None:
    """Compare a metric of a method with that of each model-independent baseline map.

    Yes: better than all baselines. No: not better than `reference`, which is fixed beforehand, because the best of
    several baselines beats an equally good method by chance.
    """
    differences = {
        key.baseline: estimate
        for key, estimate in estimates.items()
        if (key.map, key.metric) == (method, metric) and key.baseline
    }
    if not differences:
        return None
    strongest = min(differences, key=lambda baseline: differences[baseline].value)
    verdict: Verdict = "unclear"
    if all(_decide(estimate, 0.0, above=True) == "yes" for estimate in differences.values()):
        verdict = "yes"
    elif reference in differences and _decide(differences[reference], 0.0, above=True) == "no":
        verdict = "no"
    return _Part(f"{metric.replace('_', ' ')}, improvement over {strongest}", differences[strongest], verdict)


def _decide(estimate: Estimate, limit: float, above: bool) -> Verdict:
    """Decide whether the whole interval is above (or below) a limit."""
    if estimate.n < MIN_IMAGES or not estimate.low < estimate.high:  # equal values have no interval
        return "unclear"
    if above:
        return "yes" if estimate.low > limit else "no" if estimate.high <= limit else "unclear"
    return "yes" if estimate.high < limit else "no" if estimate.low >= limit else "unclear"


def method_verdict(checks: Sequence[Check]) -> str:
    """Summarize the checks of a method: its verdict as a short text."""
    verdicts = [check.verdict for check in checks]
    method_verdicts, model_verdicts = verdicts[:NUM_METHOD_CHECKS], verdicts[NUM_METHOD_CHECKS:]
    if set(verdicts) == {"not measured"}:
        return "not measured"
    if "no" in method_verdicts:
        return "not trustworthy"
    if not _is_trustworthy(checks):
        return "undecided"
    if "no" in model_verdicts:
        return "faithful map; model attends elsewhere"
    return TRUSTWORTHY if set(model_verdicts) == {"yes"} else f"{TRUSTWORTHY}; other checks undecided"


def _is_trustworthy(checks: Sequence[Check]) -> bool:
    """Return whether a method passes all checks that are about the method."""
    return all(check.verdict == "yes" for check in checks[:NUM_METHOD_CHECKS])


def rank_methods(estimates: Estimates, methods: Sequence[str]) -> list[tuple[str, list[Check], str]]:
    """Rank methods, those with the fewest failed and the most passed checks first, with their checks and verdicts."""

    def order(item: tuple[str, list[Check]]) -> tuple[int, int, int, int]:
        verdicts = [check.verdict for check in item[1]]
        method_verdicts = verdicts[:NUM_METHOD_CHECKS]
        return method_verdicts.count("no"), -method_verdicts.count("yes"), verdicts.count("no"), -verdicts.count("yes")

    items = [(method, check_method(estimates, method)) for method in methods]
    return [(method, checks, method_verdict(checks)) for method, checks in sorted(items, key=order)]


def summary_sentence(ranking: Ranking) -> str:
    """Name the most trustworthy method with its failed and undecided checks, or say that none is trustworthy.

    Args:
        ranking: result of `rank_methods`.
    """
    method, checks, _ = next((item for item in ranking if _is_trustworthy(item[1])), ranking[0])
    if _is_trustworthy(checks):
        failed = [check.criterion for check in checks if check.verdict == "no"]
        undecided = [check.criterion for check in checks if check.verdict in ("unclear", "not measured")]
        sentence = f"Of the methods tested, {method} is trustworthy: its maps show what this model uses."
        sentence += f" Failed: {', '.join(failed)}." if failed else ""
        return sentence + (f" Undecided: {', '.join(undecided)}." if undecided else "")
    passed = sum(check.verdict == "yes" for check in checks)
    measured = sum(check.verdict != "not measured" for check in checks)
    count = f"passes {passed} of {measured} measured checks"
    subject = (
        f"{method} {count}" if len(ranking) == 1 else f"No method is proven trustworthy; the best, {method}, {count}"
    )
    return f"{subject}. Its maps alone are not evidence of what the model uses."
