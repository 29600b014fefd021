"""Curves over thresholds, as small tables on fixed grids, so that two commits can be drawn over each other."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from brain_tumor.metrics import BINS, Floats, Ints, bins, wilson

GRID = np.linspace(0, 1, 201)
CLASS = "class "  # before the name of a class, which may be any


def roc(truth: Ints, probabilities: Floats, classes: Sequence[str]) -> pd.DataFrame:
    """false_positive_rate on the grid, and the true positive rate of each class (`class <name>`), and their mean."""

    def curve(positive: NDArray[np.bool_], scores: Floats) -> Floats:
        alarms, hits, _ = roc_curve(positive, scores)
        rates: Floats = np.interp(GRID, alarms, hits)
        rates[0] = hits[alarms == 0].max()
        return rates

    return _against_the_rest("false_positive_rate", truth, probabilities, classes, curve)


def precision_recall(truth: Ints, probabilities: Floats, classes: Sequence[str]) -> pd.DataFrame:
    """recall on the grid, the best precision at that recall or more of each class (`class <name>`), and their mean."""

    def curve(positive: NDArray[np.bool_], scores: Floats) -> Floats:
        precision, recall, _ = precision_recall_curve(positive, scores)
        return np.array([precision[recall >= least - 1e-12].max() for least in GRID])

    return _against_the_rest("recall", truth, probabilities, classes, curve)


def reliability(truth: Ints, probabilities: Floats) -> pd.DataFrame:
    """By bin of equal mass: n, mean confidence, accuracy with its Wilson interval."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    member = bins(confidence)
    lines = []
    for number in range(BINS):
        inside = member == number
        if n := int(inside.sum()):
            low, high = wilson(int(right[inside].sum()), n)
            lines.append((n, confidence[inside].mean(), right[inside].mean(), low, high))
    return pd.DataFrame(lines, columns=["n", "confidence", "accuracy", "low", "high"])


def coverage(truth: Ints, probabilities: Floats) -> pd.DataFrame:
    """The accuracy on the most certain share of the rows, when the others are left to a human; with Wilson's interval.

    Rows of equal certainty count in parts, so that their order does not matter.
    """
    certainty, right = probabilities.max(1), (probabilities.argmax(1) == truth).astype(float)
    _, level = np.unique(-certainty, return_inverse=True)
    per_level = np.bincount(level, right) / np.bincount(level)
    hits = per_level[np.sort(level)].cumsum()
    lines = []
    for kept in np.unique(np.ceil(GRID[10:] * len(truth)).astype(int)):
        if kept:
            lines.append((kept / len(truth), kept, hits[kept - 1] / kept, *wilson(hits[kept - 1], kept)))
    return pd.DataFrame(lines, columns=["coverage", "n", "accuracy", "low", "high"])


def decisions(positive: NDArray[np.bool_], scores: Floats) -> pd.DataFrame:
    """Net benefit over thresholds (Vickers and Elkin 2006) of the model, of treating all and of treating none.

    A threshold is the probability from which one would act; it says how many false alarms a hit is worth.
    """
    lines = []
    for threshold in GRID[2:-1:2]:
        claimed = scores >= threshold
        price = threshold / (1 - threshold)
        model, everybody = (
            ((acted & positive).mean() - (acted & ~positive).mean() * price) for acted in (claimed, positive | True)
        )
        lines.append((threshold, model, everybody, 0.0))
    return pd.DataFrame(lines, columns=["threshold", "model", "treat_all", "treat_none"])


def _against_the_rest(
    x: str,
    truth: Ints,
    probabilities: Floats,
    classes: Sequence[str],
    curve: Callable[[NDArray[np.bool_], Floats], Floats],
) -> pd.DataFrame:
    """The grid, the curve of each class, NaN without positives or negatives, and the mean of those that have one."""
    table = pd.DataFrame(index=range(len(GRID)))
    for k, label in enumerate(classes):
        positive = truth == k
        defined = 0 < positive.sum() < len(truth)
        table[f"{CLASS}{label}"] = curve(positive, probabilities[:, k]) if defined else np.nan
    return pd.concat([pd.DataFrame({x: GRID, "macro": table.mean(axis=1)}), table], axis=1)
