"""Figures of merit with 95 % intervals by a bootstrap over groups, many resamples at once."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from brain_tumor.params import Block

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
CHUNK = 100


class EvaluateParams(Block):
    """`recipes.<name>.evaluate`: bootstrap rounds and their seed."""

    rounds: int = Field(ge=100)
    seed: int


def measure(
    truth: Ints, probabilities: Floats, groups: Sequence[str], classes: Sequence[str], params: EvaluateParams
) -> dict[str, Any]:
    """Measure predictions against the truth.

    Args:
        truth: (N,) class numbers.
        probabilities: (N, K); the prediction is the first of the largest.
        groups: (N,) what is resampled together: copies and slices of one patient are no independent evidence.
        classes: K names.

    Returns:
        n, the overall figures, `interval` (95 % percentile bootstrap for each of them, stratified by class;
        Wilson for accuracy too) and `classes` (precision, recall, F1, AUROC and support of each). A figure
        that is not defined, as AUROC with one class alone, is None. Nothing but n if N is 0.
    """
    if len(truth) == 0:
        return {"n": 0}
    size = len(classes)
    predicted = probabilities.argmax(1)
    ones = np.ones((1, len(truth)))
    tables = confusion(truth, predicted, ones, size)
    areas = auroc(truth, probabilities, ones)
    point = overall(tables, areas)
    drawn: dict[str, list[Floats]] = {name: [] for name in point}
    for weights in resample(truth, groups, params):
        figures = overall(confusion(truth, predicted, weights, size), auroc(truth, probabilities, weights))
        for name, values in figures.items():
            drawn[name].append(values)
    interval: dict[str, Any] = {}
    for name, parts in drawn.items():
        defined = np.concatenate(parts)
        defined = defined[np.isfinite(defined)]
        interval[name] = np.quantile(defined, (0.025, 0.975)) if len(defined) else None
    interval["accuracy_wilson"] = wilson(int((predicted == truth).sum()), len(truth))
    precision, recall, f1 = by_class(tables)
    support = tables[0].sum(1)
    each = {
        label: {
            "precision": precision[0, k],
            "recall": recall[0, k],
            "f1": f1[0, k],
            "auroc": areas[0, k],
            "support": int(support[k]),
        }
        for k, label in enumerate(classes)
    }
    return {"n": len(truth), **{k: v[0] for k, v in point.items()}, "interval": interval, "classes": each}


def confusion(truth: Ints, predicted: Ints, weights: Floats, size: int) -> Floats:
    """(N,) truth and predictions under (R, N) weights → (R, size, size) counts, truth by rows."""
    cells = np.eye(size * size)[truth * size + predicted]
    tables: Floats = (weights @ cells).reshape(-1, size, size)
    return tables


def by_class(tables: Floats) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1, each (R, K); recall is NaN without support, the others 0 where undefined."""
    hits = np.diagonal(tables, axis1=1, axis2=2)
    support, claimed = tables.sum(2), tables.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(claimed > 0, hits / claimed, 0.0)
        recall = np.where(support > 0, hits / support, np.nan)
        f1 = np.where(support + claimed > 0, 2 * hits / (support + claimed), 0.0)
    return precision, recall, f1


def overall(tables: Floats, areas: Floats) -> dict[str, Floats]:
    """The overall figures of (R, K, K) confusion tables and (R, K) AUROCs; averages go over classes that occur."""
    _, recall, f1 = by_class(tables)
    support = tables.sum(2)
    there = np.where(support > 0, 1.0, np.nan)
    with np.errstate(invalid="ignore"):
        defined = np.isfinite(areas)
        area = np.where(defined.any(1), np.where(defined, areas, 0).sum(1) / np.maximum(defined.sum(1), 1), np.nan)
    return {
        "accuracy": np.trace(tables, axis1=1, axis2=2) / tables.sum((1, 2)),
        "balanced_accuracy": np.nanmean(recall, 1),
        "macro_f1": np.nanmean(f1 * there, 1),
        "weighted_f1": (f1 * support).sum(1) / support.sum(1),
        "auroc": area,
    }


def auroc(truth: Ints, probabilities: Floats, weights: Floats) -> Floats:
    """One-vs-rest area under the ROC curve, (R, K), under (R, N) weights; ties count half.

    NaN where a class has no positives or no negatives.
    """
    areas = np.full((len(weights), probabilities.shape[1]), np.nan)
    for k in range(probabilities.shape[1]):
        order = np.argsort(probabilities[:, k], kind="stable")
        score, positive = probabilities[order, k], truth[order] == k
        starts = np.flatnonzero(np.r_[True, score[1:] != score[:-1]])
        sorted_weights = weights[:, order]
        pos = np.add.reduceat(sorted_weights * positive, starts, axis=1)
        neg = np.add.reduceat(sorted_weights * ~positive, starts, axis=1)
        below = neg.cumsum(1) - neg
        pairs = pos.sum(1) * neg.sum(1)
        np.divide((pos * (below + neg / 2)).sum(1), pairs, out=areas[:, k], where=pairs > 0)
    return areas


def resample(truth: Ints, groups: Sequence[str], params: EvaluateParams) -> Iterator[Floats]:
    """Yield (≤ CHUNK, N) row weights: whole groups drawn with replacement, within the class of their first row."""
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    stratum = np.zeros(len(names), np.int64)
    stratum[member[::-1]] = truth[::-1]
    random = np.random.default_rng(params.seed)
    for start in range(0, params.rounds, CHUNK):
        rounds = min(CHUNK, params.rounds - start)
        counts = np.zeros((rounds, len(names)))
        for k in np.unique(stratum):
            inside = np.flatnonzero(stratum == k)
            drawn = inside[random.integers(len(inside), size=(rounds, len(inside)))]
            np.add.at(counts, (np.arange(rounds)[:, None], drawn), 1.0)
        yield counts[:, member]


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % score interval of a proportion (Wilson 1927)."""
    z = 1.959963984540054
    center = (hits + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * np.sqrt(hits * (n - hits) / n + z * z / 4)
    return max(0.0, float(center - half)), min(1.0, float(center + half))
