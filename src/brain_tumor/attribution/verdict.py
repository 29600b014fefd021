"""Verdicts on attribution methods: checks of a method's maps, each decided by metrics with confidence intervals.

The first three checks are about the method: are its maps faithful, do they depend on the weights, are they stable? The
other two are about method and model together: a faithful map of a model that attends elsewhere fails them as well.

Several checks of several methods are corrected for being several by Holm's method. A check whose controls fail, of maps
that must pass it or must not, decides nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from brain_tumor.attribution.constants import (
    BLURRED_NOISE,
    CENTER,
    EDGES,
    INTENSITY,
    MAX_RANDOMIZATION_CORRELATION,
    MEAN_MASK,
    MIN_IMAGES,
    MIN_STABILITY_CORRELATION,
    OTHER_CLASS,
    RANDOM_ORDER,
    SHIFTED,
    TRUE_MASK,
    UNTRAINED,
)
from brain_tumor.attribution.significance import Comparison, p_failure, p_success, reject_holm
from brain_tumor.metrics.bootstrap import Estimate

Verdict = Literal["yes", "no", "unclear", "not enough images", "not measured"]
FAITHFUL, RANDOMIZATION, STABLE, LOCALIZES, ON_HEAD = CRITERIA = (
    "faithful (deletion/insertion)",
    "passes randomization test",
    "stable under small perturbations",
    "localizes the tumor",
    "relevance lies on the head",
)
NUM_METHOD_CHECKS = 3  # the first checks, which are about the method only
TRUSTWORTHY = "trustworthy"
MIN_CONTROL_IMAGES = 20  # of a control map
# Maps that must pass each check, and maps that must not.
MODEL_FREE = (RANDOM_ORDER, BLURRED_NOISE, CENTER, EDGES, INTENSITY)
CONTROLS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    FAITHFUL: ((TRUE_MASK,), (*MODEL_FREE, SHIFTED, OTHER_CLASS, UNTRAINED)),
    RANDOMIZATION: ((RANDOM_ORDER,), (CENTER, EDGES, INTENSITY)),
    STABLE: ((INTENSITY,), (RANDOM_ORDER, BLURRED_NOISE)),
    LOCALIZES: ((TRUE_MASK,), (*MODEL_FREE, MEAN_MASK, OTHER_CLASS, UNTRAINED)),
    ON_HEAD: ((TRUE_MASK,), (RANDOM_ORDER, BLURRED_NOISE)),
}


class Check(NamedTuple):
    """A criterion, whether a method meets it, and the metrics behind that: descriptions with their `Estimate`."""

    criterion: str
    verdict: Verdict
    metrics: tuple[tuple[str, Estimate], ...]


class Control(NamedTuple):
    """A check of a control map.

    Attributes:
        map: name of the control map.
        must_pass: whether it must pass the check; otherwise it must not.
        check: its result.
        as_expected: whether the result is yes where it must be, and anything else where it must not; None where it is
            undecided whether a map passes that must, or where there are not enough images.
    """

    map: str
    must_pass: bool
    check: Check
    as_expected: bool | None


class EstimateKey(NamedTuple):
    """Subject of an estimate.

    Attributes:
        map: '' where no map is involved.
        baseline: '' if the estimate is not a difference from a baseline.
        region: the region of the image; '' for the whole image.
        stage: the lowest part of the network with random weights; '' for all parts, and where no weights are random.
    """

    map: str
    metric: str
    baseline: str = ""
    region: str = ""
    stage: str = ""


Estimates = Mapping[EstimateKey, Estimate]
Ranking = Sequence[tuple[str, Sequence[Check], str]]  # methods with their checks and verdicts, the best first


def read_estimates(rows: Iterable[Mapping[str, object]], label: str = "") -> dict[EstimateKey, Estimate]:
    """Read the rows of explain.csv, without those by size of the tumor.

    Args:
        label: the class to read, or '' for the estimates over all images.
    """
    return {
        EstimateKey(*(str(row[name]) for name in ("map", "metric", "baseline", "region", "stage"))): Estimate(
            float(str(row["value"])),
            float(str(row["low"]) or "nan"),
            float(str(row["high"]) or "nan"),
            int(str(row["n"])),
        )
        for row in rows
        if row["class"] == label and row.get("size", "") == ""
    }


def check_methods(estimates: Estimates, methods: Sequence[str]) -> dict[str, list[Check]]:
    """Run all checks of some methods, corrected for being several by Holm's method."""
    broken = {control.check.criterion for control in check_controls(estimates) if control.as_expected is False}
    smallest_class = estimates.get(EstimateKey("", "smallest_class_images"))
    all_classes = smallest_class is None or smallest_class.value > 0
    minimum = MIN_IMAGES if all_classes else float("inf")
    return _decide({method: list_comparisons(estimates, method) for method in methods}, minimum, broken)


def check_controls(estimates: Estimates) -> list[Control]:
    """Check the control maps that were measured, in the order of CRITERIA."""
    controls = []
    for criterion, groups in CONTROLS.items():
        for must_pass, names in zip((True, False), groups, strict=True):
            for name in names:
                comparisons = list_comparisons(estimates, name)[criterion]
                if not comparisons:
                    continue
                (check,) = _decide({name: {criterion: comparisons}}, MIN_CONTROL_IMAGES, set())[name]
                expected = check.verdict == "yes" if must_pass else check.verdict != "yes"
                is_open = check.verdict == "not enough images" or (must_pass and check.verdict == "unclear")
                controls.append(Control(name, must_pass, check, None if is_open else expected))
    return controls


def list_comparisons(estimates: Estimates, name: str) -> dict[str, list[Comparison]]:
    """List the comparisons that decide each of CRITERIA for a map; none where it was not measured."""
    stages = [
        Comparison(
            "rank correlation with the maps of the randomized model" + f", down to {key.stage}" * bool(key.stage),
            estimate,
            MAX_RANDOMIZATION_CORRELATION,
            above=False,
        )
        for key, estimate in estimates.items()
        if (key.map, key.metric) == (name, "randomization_correlation")
    ]
    changes = {"mirrored": "mirrored image", "shifted": "shifted by a few pixels", "noisy": "with slight noise"}
    stable = [
        Comparison(f"rank correlation, {text}", estimates[key], MIN_STABILITY_CORRELATION, above=True)
        for metric, text in changes.items()
        if (key := EstimateKey(name, metric)) in estimates
    ]
    excess = estimates.get(EstimateKey(name, "excess_relevance", region="outside_head"))
    description = "relevance outside the head, minus the fraction of the area"
    return {
        FAITHFUL: _compare_with_baselines(estimates, name, ("deletion", "insertion"), SHIFTED),
        RANDOMIZATION: stages,
        STABLE: stable,
        LOCALIZES: _compare_with_baselines(estimates, name, ("relevance_inside", "pointing"), MEAN_MASK),
        ON_HEAD: [] if excess is None else [Comparison(description, excess, 0.0, above=False)],
    }


def _compare_with_baselines(
    estimates: Estimates, name: str, metrics: Sequence[str], reference: str
) -> list[Comparison]:
    """Compare metrics of a map with those of each map that knows nothing of the model, itself included.

    A map passes if it is better than all of them. It fails if it is worse than `reference`, which is fixed beforehand,
    because the best of several baselines beats an equally good method by chance.
    """
    comparisons = [
        Comparison(
            f"{key.metric.replace('_', ' ')}, improvement over {key.baseline}",
            estimate,
            0.0,
            above=True,
            can_fail=key.baseline == reference,
        )
        for key, estimate in estimates.items()
        if key.map == name and key.metric in metrics and key.baseline
    ]
    if not comparisons and name in CONTROLS[FAITHFUL][1] + CONTROLS[LOCALIZES][1]:
        own = [estimates[key] for metric in metrics if (key := EstimateKey(name, metric)) in estimates]
        no_gain = [Estimate(0.0, 0.0, 0.0, estimate.n) for estimate in own]
        comparisons = [Comparison("improvement over itself", estimate, 0.0, True, False) for estimate in no_gain]
    return comparisons


def _decide(
    comparisons: Mapping[str, Mapping[str, list[Comparison]]], minimum: float, broken: set[str]
) -> dict[str, list[Check]]:
    """Decide the checks of some maps together.

    Args:
        comparisons: by map and criterion.
        minimum: number of images below which nothing is decided.
        broken: criteria whose controls fail.
    """
    decided = {
        (name, criterion): (p_success(parts), p_failure(parts))
        for name, by_criterion in comparisons.items()
        for criterion, parts in by_criterion.items()
        if parts and min(part.estimate.n for part in parts) >= minimum
    }
    significant = dict(zip(decided, reject_holm([min(p) for p in decided.values()]), strict=True))
    result: dict[str, list[Check]] = {}
    for name, by_criterion in comparisons.items():
        for criterion, parts in by_criterion.items():
            key = name, criterion
            verdict: Verdict = "unclear"
            if not parts:
                verdict = "not measured"
            elif key not in decided:
                verdict = "not enough images"
            elif significant[key] and criterion not in broken:
                verdict = "yes" if decided[key][0] < decided[key][1] else "no"
            result.setdefault(name, []).append(Check(criterion, verdict, _worst_metrics(parts)))
    return result


def _worst_metrics(parts: Sequence[Comparison]) -> tuple[tuple[str, Estimate], ...]:
    """Return of each metric the comparison that is the least in favor of the map."""
    worst: dict[str, Comparison] = {}
    for part in parts:
        metric = part.description.split(", improvement over")[0].split(", down to")[0]
        distance = part.estimate.value * (1 if part.above else -1)
        if metric not in worst or distance < worst[metric].estimate.value * (1 if part.above else -1):
            worst[metric] = part
    return tuple((part.description, part.estimate) for part in worst.values())


def method_verdict(checks: Sequence[Check]) -> str:
    """Summarize the checks of a method: its verdict as a short text."""
    verdicts = [check.verdict for check in checks]
    method_verdicts, model_verdicts = verdicts[:NUM_METHOD_CHECKS], verdicts[NUM_METHOD_CHECKS:]
    if set(verdicts) == {"not measured"}:
        return "not measured"
    if "no" in method_verdicts:
        return "not trustworthy"
    if "not enough images" in method_verdicts:
        return "not enough images"
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

    items = check_methods(estimates, methods).items()
    return [(method, checks, method_verdict(checks)) for method, checks in sorted(items, key=order)]


def summary_sentence(ranking: Ranking) -> str:
    """Name the most trustworthy method with its failed and undecided checks, or say that none is trustworthy.

    Args:
        ranking: result of `rank_methods`.
    """
    method, checks, _ = next((item for item in ranking if _is_trustworthy(item[1])), ranking[0])
    if _is_trustworthy(checks):
        failed = [check.criterion for check in checks if check.verdict == "no"]
        undecided = [check.criterion for check in checks if check.verdict not in ("yes", "no")]
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
