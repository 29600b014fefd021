"""Curves over thresholds, as small tables on fixed grids, so that two commits can be drawn over each other."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_curve

from brain_tumor.metrics import BINS, Floats, Ints, bins, wilson

GRID = np.linspace(0, 1, 201)
CLASS = "class "  # before the name of a class, which may be any


def roc(truth: Ints, probabilities: Floats, classes: Sequence[str]) -> pd.DataFrame:
    """false_positive_rate on the grid, and the true positive rate of each class (`class <name>`), and their mean."""
    columns = {}
    for k, label in enumerate(classes):
        positive = truth == k
        if 0 < positive.sum() < len(truth):
            alarms, hits, _ = roc_curve(positive, probabilities[:, k])
            columns[label] = np.interp(GRID, alarms, hits)
            columns[label][0] = hits[alarms == 0].max()
        else:
            columns[label] = np.full(len(GRID), np.nan)
    return _with_mean("false_positive_rate", columns)


def precision_recall(truth: Ints, probabilities: Floats, classes: Sequence[str]) -> pd.DataFrame:
    """recall on the grid, the best precision at that recall or more of each class (`class <name>`), and their mean."""
    columns = {}
    for k, label in enumerate(classes):
        positive = truth == k
        if 0 < positive.sum() < len(truth):
            precision, recall, _ = precision_recall_curve(positive, probabilities[:, k])
            columns[label] = np.array([precision[recall >= least - 1e-12].max() for least in GRID])
        else:
            columns[label] = np.full(len(GRID), np.nan)
    return _with_mean("recall", columns)


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


def decisions(positive: "np.ndarray[tuple[int], np.dtype[np.bool_]]", scores: Floats) -> pd.DataFrame:
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


def _with_mean(x: str, columns: dict[str, Floats]) -> pd.DataFrame:
    table = pd.DataFrame({f"{CLASS}{label}": values for label, values in columns.items()})
    # The mean is that of the classes that have a curve.
    return pd.concat([pd.DataFrame({x: GRID, "macro": table.mean(axis=1)}), table], axis=1)
