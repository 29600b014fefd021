"""Which method deserves trust for a recipe: checks of its maps, each with the verdict that its figures give.

The first three are about the method: does the model use what it marks, does it depend on what was learned, does it hold
still? The other two are about model and map together: a faithful map of a model that looks elsewhere fails them, too.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

Verdict = Literal["yes", "no", "unclear", "not measured"]
UNCHANGED = 0.5  # rank correlation with maps of an untrained model from which a method does not ask the model
STABLE = 0.5  # rank correlation with maps of altered images below which a method is not stable
OF_METHOD = 3  # checks that are about the method
FEW = 20  # images below which no figure decides anything
OVER = "_over_"  # between a figure and the map that it is above
TRUST = "trust"


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


def spans(rows: Iterable[Mapping[str, object]], label: str = "") -> dict[tuple[str, str], Span]:
    """The figures of explain.csv by map and figure: those of all images, or those of a class."""
    return {
        (str(row["map"]), str(row["figure"])): Span(
            float(str(row["value"])), float(str(row["low"])), float(str(row["high"])), int(str(row["n"]))
        )
        for row in rows
        if row["class"] == label
    }


def checks(table: Table, method: str) -> list[Check]:
    """The checks of one method."""
    used = [_over(table, method, figure, "random order") for figure in ("deletion", "insertion", "road")]
    found = [_over(table, method, figure, "mean training mask") for figure in ("relevance_inside", "pointing")]
    return [
        _check("Does the model use what it marks?", used),
        _check(
            "Does it change when the model is untrained?",
            [_against(table, method, "untrained", "rank correlation with an untrained model's maps", UNCHANGED, False)],
        ),
        _check(
            "Does it hold still when the image hardly changes?",
            [
                _against(table, method, "mirrored", "rank correlation, mirrored", STABLE, True),
                _against(table, method, "shifted", "shifted by a few pixels", STABLE, True),
                _against(table, method, "noisy", "slightly noisy", STABLE, True),
            ],
        ),
        _check("Does it find the tumor?", found),
        _check(
            "Does it stay on the head?",
            [_against(table, method, "excess_outside_head", "relevance outside, above the area's share", 0.0, False)],
        ),
    ]


_Part = tuple[str, Span, Verdict] | None


def _check(question: str, parts: Sequence[_Part]) -> Check:
    found = [part for part in parts if part is not None]
    verdicts = [verdict for *_, verdict in found]
    verdict: Verdict = "unclear"
    if not verdicts:
        verdict = "not measured"
    elif "no" in verdicts:
        verdict = "no"
    elif set(verdicts) == {"yes"}:
        verdict = "yes"
    return Check(question, verdict, tuple((words, span) for words, span, _ in found))


def _against(table: Table, method: str, figure: str, words: str, limit: float, above: bool) -> _Part:
    """A figure and a limit that it must be above, or below."""
    if (method, figure) not in table:
        return None
    span = table[method, figure]
    return words, span, _verdict(span, limit, above)


def _over(table: Table, method: str, figure: str, fixed: str) -> _Part:
    """How much better a figure is than that of each map that does not ask the model.

    Yes: better than all of them. No: not better than one that is fixed beforehand, for the best of several is better
    than a method of the same worth by chance.
    """
    start = f"{figure}{OVER}"
    known = {
        key.removeprefix(start): span for (name, key), span in table.items() if name == method and key.startswith(start)
    }
    if not known:
        return None
    nearest = min(known, key=lambda other: known[other].value)
    verdict: Verdict = "unclear"
    if all(_verdict(span, 0.0, True) == "yes" for span in known.values()):
        verdict = "yes"
    elif fixed in known and _verdict(known[fixed], 0.0, True) == "no":
        verdict = "no"
    return f"{figure.replace('_', ' ')}, better than {nearest}", known[nearest], verdict


def _verdict(span: Span, limit: float, above: bool) -> Verdict:
    if span.n < FEW or span.low == span.high:  # images that all agree say nothing of others
        return "unclear"
    if above:
        return "yes" if span.low > limit else "no" if span.high <= limit else "unclear"
    return "yes" if span.high < limit else "no" if span.low >= limit else "unclear"


def verdict(of_method: Sequence[Check]) -> str:
    """What the checks of a method come to, in words."""
    verdicts = [check.verdict for check in of_method]
    own, others = verdicts[:OF_METHOD], verdicts[OF_METHOD:]
    if set(verdicts) == {"not measured"}:
        return "not measured"
    if "no" in own:
        return "no trust"
    if set(own) != {"yes"}:
        return "undecided"
    if "no" in others:
        return f"{TRUST} the map: the model looks elsewhere"
    return TRUST if set(others) == {"yes"} else f"{TRUST}, as far as decided"


def ranking(table: Table, methods: Sequence[str]) -> list[tuple[str, list[Check], str]]:
    """Methods with their checks and verdicts, those that fail least and pass most first."""
    found = [(method, checks(table, method)) for method in methods]

    def order(pair: tuple[str, list[Check]]) -> tuple[int, int, int, int]:
        verdicts = [check.verdict for check in pair[1]]
        own = verdicts[:OF_METHOD]
        return own.count("no"), -own.count("yes"), verdicts.count("no"), -verdicts.count("yes")

    return [(method, each, verdict(each)) for method, each in sorted(found, key=order)]


def sentence(table: Table, methods: Sequence[str]) -> str:
    """Say which method deserves trust, or that none does, and what is not known of it."""
    ordered = ranking(table, methods)
    trusted = [(method, of_method) for method, of_method, word in ordered if word.startswith(TRUST)]
    if trusted:
        method, of_method = trusted[0]
        open_ = [check.question for check in of_method if check.verdict in ("unclear", "not measured")]
        failed = [check.question for check in of_method if check.verdict == "no"]
        words = f"Of the methods tried, {method} deserves trust as a map of what this model uses."
        words += f" Answered with no: {' '.join(failed)}" if failed else ""
        return words + (f" Not decided: {' '.join(open_)}" if open_ else "")
    method, of_method, _ = ordered[0]
    passed = sum(check.verdict == "yes" for check in of_method)
    measured = sum(check.verdict != "not measured" for check in of_method)
    words = f"passes {passed} of the {measured} checks that could be made"
    none = f"{method} {words}" if len(ordered) == 1 else f"No method can be trusted yet; the best, {method}, {words}"
    return f"{none}: its maps alone are no evidence of what the model sees."
