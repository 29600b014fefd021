"""Which method deserves trust for a recipe: checks of its maps, each with the verdict that its figures give."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

Verdict = Literal["yes", "no", "unclear", "not measured"]
UNCHANGED = 0.5  # rank correlation with maps of an untrained model from which a method does not ask the model
TRUST = "trust"
STABLE = 0.5  # rank correlation with maps of altered images below which a method is not stable
FIRST = 3  # checks that none may fail who is to be trusted


class Span(NamedTuple):
    """A mean over n images with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


class Check(NamedTuple):
    """A question, a verdict and the figures behind it: pairs of words and `Span`."""

    question: str
    verdict: Verdict
    figures: tuple[tuple[str, Span], ...]


Table = Mapping[tuple[str, str], Span]


def spans(rows: Iterable[Mapping[str, str]]) -> dict[tuple[str, str], Span]:
    """The overall figures of explain.csv by map and figure."""
    return {
        (row["map"], row["figure"]): Span(float(row["value"]), float(row["low"]), float(row["high"]), int(row["n"]))
        for row in rows
        if not row["class"]
    }


def checks(table: Table, method: str) -> list[Check]:
    """The checks of one method."""

    def check(question: str, parts: Sequence[tuple[str, str, float, bool]]) -> Check:
        known = [part for part in parts if (method, part[0]) in table]
        found = [(words, table[method, figure], limit, above) for figure, words, limit, above in known]
        verdicts = [_verdict(span, limit, above) for _, span, limit, above in found]
        verdict: Verdict = "unclear"
        if not verdicts:
            verdict = "not measured"
        elif "no" in verdicts:
            verdict = "no"
        elif set(verdicts) == {"yes"}:
            verdict = "yes"
        return Check(question, verdict, tuple((words, span) for words, span, *_ in found))

    return [
        check(
            "Does it find the tumor better than maps that do not ask the model?",
            [
                ("relevance_inside_gain", "relevance inside, above the best of these", 0.0, True),
                ("pointing_gain", "pointing game, above the best of these", 0.0, True),
            ],
        ),
        check(
            "Does the model use what it marks?",
            [
                ("deletion_gain", "deletion, better than random", 0.0, True),
                ("insertion_gain", "insertion, better than random", 0.0, True),
                ("road", "ROAD, random is 0", 0.0, True),
            ],
        ),
        check(
            "Does it change when the model is untrained?",
            [("untrained", "rank correlation with the untrained model's maps", UNCHANGED, False)],
        ),
        check(
            "Does it hold still when the image hardly changes?",
            [
                ("mirrored", "mirrored", STABLE, True),
                ("shifted", "shifted by a few pixels", STABLE, True),
                ("noisy", "slightly noisy", STABLE, True),
            ],
        ),
        check(
            "Does it stay on the head?",
            [("excess_outside_head", "relevance outside the head above the area's share", 0.0, False)],
        ),
    ]


def verdict(of_method: Sequence[Check]) -> str:
    """What the checks of a method come to, in words."""
    verdicts = [check.verdict for check in of_method]
    if "no" in verdicts:
        return "no trust" if "no" in verdicts[:FIRST] else "little trust"
    if set(verdicts) == {"yes"}:
        return TRUST
    if set(verdicts) == {"not measured"}:
        return "not measured"
    return f"{TRUST}, as far as measured" if set(verdicts) == {"yes", "not measured"} else "undecided"


def ranking(table: Table, methods: Sequence[str]) -> list[tuple[str, list[Check], str]]:
    """Methods with their checks and verdicts, those that fail least and pass most first."""
    found = [(method, checks(table, method)) for method in methods]

    def order(pair: tuple[str, list[Check]]) -> tuple[int, int, int]:
        verdicts = [check.verdict for check in pair[1]]
        return verdicts[:FIRST].count("no"), verdicts.count("no"), -verdicts.count("yes")

    return [(method, each, verdict(each)) for method, each in sorted(found, key=order)]


def sentence(table: Table, methods: Sequence[str]) -> str:
    """Say which method deserves trust, or that none does."""
    ordered = ranking(table, methods)
    trusted = [method for method, _, word in ordered if word.startswith(TRUST)]
    if trusted:
        return f"By these figures {' and '.join(trusted)} deserve{'s' if len(trusted) == 1 else ''} trust."
    method, of_method, _ = ordered[0]
    passed = sum(check.verdict == "yes" for check in of_method)
    measured = sum(check.verdict != "not measured" for check in of_method)
    words = f"passes {passed} of the {measured} checks that could be made"
    none = f"{method} {words}" if len(ordered) == 1 else f"No method passes them all; the best, {method}, {words}"
    return f"{none}: its maps alone are no evidence of what the model sees."


def _verdict(span: Span, limit: float, above: bool) -> Verdict:
    if above:
        return "yes" if span.low > limit else "no" if span.high <= limit else "unclear"
    return "yes" if span.high < limit else "no" if span.low >= limit else "unclear"
