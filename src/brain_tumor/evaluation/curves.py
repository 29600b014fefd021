"""Curves over thresholds, as small tables on fixed grids, so that two commits can be drawn over each other."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_curve

from brain_tumor.core.types import Floats, Ints, Masks
from brain_tumor.metrics.classification import NUM_BINS, assign_bins, wilson_interval

GRID = np.linspace(0, 1, 201)
MACRO = ""  # in the column `class`: the mean of the curves of the classes


def compute_curves(
    truth: Ints, probabilities: Floats, subsets: Mapping[str, Masks], classes: Sequence[str]
) -> dict[str, pd.DataFrame]:
    """Compute all curves of each subset.

    Args:
        truth: (N,) class numbers.
        probabilities: (N, K).
        subsets: (N,) masks of the rows, by name.
        classes: names of the K classes.

    Returns:
        `roc`, `pr`, `reliability` and `coverage`, each with the subset in its first column; and `decision` for all
        rows, which is empty unless there are two classes: net benefit is not defined for more.
    """
    functions: dict[str, Callable[[Ints, Floats], pd.DataFrame]] = {
        "roc": lambda t, p: roc_curves(t, p, classes),
        "pr": lambda t, p: precision_recall_curves(t, p, classes),
        "reliability": reliability_curve,
        "coverage": coverage_curve,
    }
    tables = {}
    for name, function in functions.items():
        parts = {subset: function(truth[mask], probabilities[mask]) for subset, mask in subsets.items()}
        tables[name] = pd.concat(parts, names=["subset", None]).reset_index("subset").reset_index(drop=True)
    decision = decision_curve(truth == 0, probabilities[:, 0])
    return tables | {"decision": decision if len(classes) == 2 else decision.head(0)}


def select_macro(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of the curves of the classes, without the column `class`."""
    return curves[curves["class"] == MACRO].drop(columns="class").reset_index(drop=True)


def roc_curves(truth: Ints, probabilities: Floats, classes: Sequence[str]) -> pd.DataFrame:
    """Compute ROC curves, each class against the rest, and their mean.

    Returns:
        class, false_positive_rate, true_positive_rate.
    """

    def curve(positive: Masks, scores: Floats) -> Floats:
        false_positive_rate, true_positive_rate, _ = roc_curve(positive, scores)
        values: Floats = np.interp(GRID, false_positive_rate, true_positive_rate)
        values[0] = true_positive_rate[false_positive_rate == 0].max()
        return values

    return _one_vs_rest(curve, truth, probabilities, classes, "false_positive_rate", "true_positive_rate")


def precision_recall_curves(truth: Ints, probabilities: Floats, classes: Sequence[str]) -> pd.DataFrame:
    """Compute precision-recall curves, each class against the rest, and their mean.

    Returns:
        class, recall, precision: the best one at that recall or more.
    """

    def curve(positive: Masks, scores: Floats) -> Floats:
        precision, recall, _ = precision_recall_curve(positive, scores)
        return np.array([precision[recall >= min_recall - 1e-12].max() for min_recall in GRID])

    return _one_vs_rest(curve, truth, probabilities, classes, "recall", "precision")


def reliability_curve(truth: Ints, probabilities: Floats) -> pd.DataFrame:
    """Compute, by bin of equal mass, n, mean confidence, and accuracy with Wilson's interval."""
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == truth
    bins = assign_bins(confidence)
    lines = []
    for number in range(NUM_BINS):
        mask = bins == number
        if n := int(mask.sum()):
            low, high = wilson_interval(int(correct[mask].sum()), n)
            lines.append((n, confidence[mask].mean(), correct[mask].mean(), low, high))
    return pd.DataFrame(lines, columns=["n", "confidence", "accuracy", "low", "high"])


def coverage_curve(truth: Ints, probabilities: Floats) -> pd.DataFrame:
    """Compute the accuracy on the most confident fraction of the rows, with Wilson's interval (selective prediction).

    Rows of equal confidence count in parts, so that their order does not matter.
    """
    confidence, correct = probabilities.max(1), (probabilities.argmax(1) == truth).astype(float)
    _, level = np.unique(-confidence, return_inverse=True)
    accuracy_of_level = np.bincount(level, correct) / np.bincount(level)
    hits = accuracy_of_level[np.sort(level)].cumsum()
    lines = []
    for n in np.unique(np.ceil(GRID[10:] * len(truth)).astype(int)):
        if n:
            lines.append((n / len(truth), n, hits[n - 1] / n, *wilson_interval(hits[n - 1], n)))
    return pd.DataFrame(lines, columns=["coverage", "n", "accuracy", "low", "high"])


def decision_curve(positive: Masks, scores: Floats) -> pd.DataFrame:
    """Compute the net benefit of the model, of treating all and of treating none (Vickers and Elkin 2006).

    A threshold is the probability from which one would act. It sets the cost of a false positive in true positives.
    """
    lines = []
    for threshold in GRID[2:-1:2]:
        cost = threshold / (1 - threshold)
        model, treat_all = (
            ((treated & positive).mean() - (treated & ~positive).mean() * cost)
            for treated in (scores >= threshold, np.ones(len(positive), bool))
        )
        lines.append((threshold, model, treat_all, 0.0))
    return pd.DataFrame(lines, columns=["threshold", "model", "treat_all", "treat_none"])


def _one_vs_rest(
    curve: Callable[[Masks, Floats], Floats], truth: Ints, probabilities: Floats, classes: Sequence[str], x: str, y: str
) -> pd.DataFrame:
    """Return the mean curve, then that of each class: NaN, and not in the mean, where all or no rows are of it."""
    values = pd.DataFrame(index=range(len(GRID)))
    for k, label in enumerate(classes):
        positive = truth == k
        values[label] = curve(positive, probabilities[:, k]) if 0 < positive.sum() < len(truth) else np.nan
    curves = {MACRO: values.mean(axis=1), **{label: values[label] for label in classes}}
    return pd.concat(
        [pd.DataFrame({"class": label, x: GRID, y: column}) for label, column in curves.items()], ignore_index=True
    )
