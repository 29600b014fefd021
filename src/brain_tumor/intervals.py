"""Figures with 95 % intervals, and differences of figures, by one bootstrap over groups for all that is compared."""

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from brain_tumor.metrics import Figures, Floats, Ints, confusion, figures, share, wilson
from brain_tumor.parallel import ordered_map
from brain_tumor.params import Block

CHUNK = 100  # rounds that are computed at once
METHOD = "95 % percentile bootstrap over groups, stratified by class"


class View(NamedTuple):
    """Predictions of a model on some of the rows: probabilities (N, K), and which rows count (N,).

    `means` are values of rows (N,) whose mean is a figure of its own.
    """

    model: str
    subset: str
    probabilities: Floats
    chosen: NDArray[np.bool_]
    means: Mapping[str, Floats] = {}


class Rounds(Block):
    """How often rows are drawn, and the seed of the draws."""

    rounds: int = Field(ge=100)
    seed: int


class Sample(NamedTuple):
    """What is resampled: class numbers (N,), and what each row belongs to: groups (N,) and strata (N,) of these."""

    truth: Ints
    groups: Sequence[str]
    strata: Sequence[str]


def measure(
    sample: Sample,
    views: Sequence[View],
    classes: Sequence[str],
    rounds: Rounds,
    differences: Sequence[tuple[int, int]] = (),
    point: float | None = None,
) -> pd.DataFrame:
    """Measure views of the same rows, all on the same resamples.

    Args:
        differences: pairs of numbers of views; of each the first minus the second is measured, too.
        point: of two classes, the operating point.

    Returns:
        One row a figure: model, subset, class ('' for all), figure, n (rows that it is about: of recall those of
        the class), value, low and high (95 % percentile bootstrap), wilson_low and wilson_high (of plain
        proportions). Views without rows give none.
    """
    views_with_rows = [k for k, view in enumerate(views) if view.chosen.any()]
    chunks = range(-(-rounds.rounds // CHUNK))
    compared = [views[k] for k in views_with_rows]
    work = functools.partial(_chunk, sample=sample, views=compared, rounds=rounds, point=point)
    drawn = list(zip(*ordered_map(work, chunks, "bootstrap", "chunk"), strict=True)) if compared else []
    tables = []
    known: dict[int, tuple[Figures, Figures]] = {}
    for k, parts in zip(views_with_rows, drawn, strict=True):
        view = views[k]
        known[k] = _figures(view, sample, np.ones((1, view.chosen.sum())), point), _joined(parts)
        table = _table(*known[k], view.model, view.subset, int(view.chosen.sum()), classes)
        tables.append(_with_wilson(table, sample, view, classes))
    for a, b in differences:
        if a in known and b in known:
            values, spread = (_minus(known[a][part], known[b][part]) for part in (0, 1))
            model, subset = (
                one if one == other else f"{one} − {other}"
                for one, other in ((views[a].model, views[b].model), (views[a].subset, views[b].subset))
            )
            n = int(views[b].chosen.sum())
            tables.append(_table(values, spread, model, subset, n, classes))
    columns = ["model", "subset", "class", "figure", "n", "value", "low", "high", "wilson_low", "wilson_high"]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def means(sample: Sample, values: Mapping[str, Floats], rounds: Rounds) -> dict[str, tuple[float, float, float]]:
    """Means of values of rows (N,), without NaN, with the ends of their 95 % interval; NaN if nothing is left."""
    names = list(values)
    table = np.stack([values[name] for name in names], 1)
    known = np.isfinite(table).astype(float)
    filled = np.where(known > 0, table, 0.0)
    drawn = [
        share(weights @ filled, weights @ known)
        for chunk in range(-(-rounds.rounds // CHUNK))
        for weights in [resample(sample, chunk, rounds)]
    ]
    point = share(filled.sum(0), known.sum(0))
    spread = np.concatenate(drawn)
    return {name: (float(point[k]), *_interval(name, float(point[k]), spread[:, k])) for k, name in enumerate(names)}


def resample(sample: Sample, chunk: int, rounds: Rounds) -> Floats:
    """(≤ CHUNK, N) weights of rows: whole groups drawn with replacement within the stratum of their first row."""
    names, member = np.unique(np.asarray(sample.groups), return_inverse=True)
    kinds = np.unique(np.asarray(sample.strata), return_inverse=True)[1]
    stratum = np.zeros(len(names), np.int64)
    stratum[member[::-1]] = kinds[::-1]
    random = np.random.default_rng([rounds.seed, chunk])  # its own for each chunk: they may be drawn in any order
    count = min(CHUNK, rounds.rounds - chunk * CHUNK)
    counts = np.zeros((count, len(names)))
    for k in np.unique(stratum):
        inside = np.flatnonzero(stratum == k)
        drawn = inside[random.integers(len(inside), size=(count, len(inside)))]
        np.add.at(counts, (np.arange(count)[:, None], drawn), 1.0)
    weights: Floats = counts[:, member]
    return weights


def _chunk(chunk: int, sample: Sample, views: Sequence[View], rounds: Rounds, point: float | None) -> list[Figures]:
    weights = resample(sample, chunk, rounds)
    found = []
    for view in views:
        inside = weights[:, view.chosen]
        some = inside.any(1)  # a small subset may not be drawn at all
        inside[~some] = 1.0
        measured = _figures(view, sample, inside, point)
        for part in measured:
            for values in part.values():
                values[~some] = np.nan
        found.append(measured)
    return found


def _figures(view: View, sample: Sample, weights: Floats, point: float | None) -> Figures:
    truth = sample.truth[view.chosen]
    found = figures(truth, view.probabilities[view.chosen], weights, point)
    own = np.eye(view.probabilities.shape[1])[truth]
    for name, values in view.means.items():
        weighted = weights * values[view.chosen]
        found.overall[name] = weighted.sum(1) / weights.sum(1)
        found.by_class[name] = share(weighted @ own, weights @ own)
    return found


def _joined(parts: Sequence[Figures]) -> Figures:
    overall, each = ({name: np.concatenate([part[k][name] for part in parts]) for name in parts[0][k]} for k in (0, 1))
    return Figures(overall, each)


def _minus(one: Figures, other: Figures) -> Figures:
    overall, each = ({name: one[k][name] - other[k][name] for name in one[k] if name in other[k]} for k in (0, 1))
    return Figures(overall, each)


def _table(value: Figures, spread: Figures, model: str, subset: str, n: int, classes: Sequence[str]) -> pd.DataFrame:
    rows = [("", name, values[0], spread.overall[name]) for name, values in value.overall.items()]
    for name, values in value.by_class.items():
        rows += [(label, name, values[0, k], spread.by_class[name][:, k]) for k, label in enumerate(classes)]
    lines = []
    for label, name, point, drawn in rows:
        lines.append((model, subset, label, name, n, point, *_interval(name, float(point), drawn)))
    table = pd.DataFrame(lines, columns=["model", "subset", "class", "figure", "n", "value", "low", "high"])
    return table.assign(wilson_low=np.nan, wilson_high=np.nan)


def _interval(figure: str, value: float, drawn: Floats) -> tuple[float, float]:
    """Percentiles of the resamples; of calibration errors, which resampling biases upwards, turned around the value."""
    defined: Floats = drawn[np.isfinite(drawn)]
    if not len(defined) or not np.isfinite(value):
        return np.nan, np.nan
    low, high = map(float, np.quantile(defined, (0.025, 0.975)))
    if figure.endswith("ece") and value >= 0 and low >= 0:  # an error, not a difference of two
        return min(max(0.0, 2 * value - high), value), max(2 * value - low, value)
    return low, high


def _with_wilson(table: pd.DataFrame, sample: Sample, view: View, classes: Sequence[str]) -> pd.DataFrame:
    """Fill in the score intervals of plain proportions, and of how many rows they are."""
    predicted = view.probabilities[view.chosen].argmax(1)
    counts = confusion(sample.truth[view.chosen], predicted, np.ones((1, len(predicted))), len(classes))[0]
    hits, support, claimed, n = np.diag(counts), counts.sum(1), counts.sum(0), counts.sum()
    of = {("accuracy", ""): (hits.sum(), n)}
    for k, label in enumerate(classes):
        of["recall", label] = hits[k], support[k]
        of["precision", label] = hits[k], claimed[k]
        of["specificity", label] = n - support[k] - claimed[k] + hits[k], n - support[k]
    pairs = [of.get((figure, label), (0, 0)) for figure, label in zip(table["figure"], table["class"], strict=True)]
    found = [wilson(part, whole) if whole else (np.nan, np.nan) for part, whole in pairs]
    sizes = [of.get((figure, label), (0, n))[1] for figure, label in zip(table["figure"], table["class"], strict=True)]
    low, high = zip(*found, strict=True)
    return table.assign(n=np.array(sizes, np.int64), wilson_low=low, wilson_high=high)
