"""Figures of merit of many weightings of the same predictions at once, as a bootstrap needs them.

N rows, K classes, R weightings. A figure that is not defined (AUROC with one class alone) is NaN. Averages over
classes go over those that occur.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
BINS = 15  # of the calibration errors, each with as many rows as the others


class Figures(NamedTuple):
    """Figures by name: `overall` (R,), `by_class` (R, K)."""

    overall: dict[str, Floats]
    by_class: dict[str, Floats]


def figures(truth: Ints, probabilities: Floats, weights: Floats, point: float | None = None) -> Figures:
    """Measure predictions against the truth.

    Args:
        truth: (N,) class numbers.
        probabilities: (N, K); the prediction is the first of the largest.
        weights: (R, N), at least one of each weighting above 0.
        point: of two classes, the least probability of the first at which it is predicted.
    """
    size = probabilities.shape[1]
    tables = confusion(truth, probabilities.argmax(1), weights, size)
    overall, each = from_counts(tables)
    ranks = [ranked(probabilities[:, k], truth == k, weights) for k in range(size)]
    each |= {name: np.stack([rank[name] for rank in ranks], 1) for name in ("auroc", "auprc")}
    overall |= {name: mean_defined(each[name]) for name in ("auroc", "auprc")}
    overall |= proper(truth, probabilities, weights)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    overall["ece"] = calibration_error(confidence, right, weights)
    gaps = [calibration_error(probabilities[:, k], truth == k, weights) for k in range(size)]
    each["ece"] = np.stack(gaps, 1)
    overall["classwise_ece"] = each["ece"].mean(1)
    if size == 2:
        overall |= {name: ranks[0][name] for name in ("sensitivity_at_95_specificity", "specificity_at_95_sensitivity")}
    if size == 2 and point is not None:
        claimed = probabilities[:, 0] >= point
        positive = truth == 0
        overall["sensitivity_at_point"] = share(weights @ (claimed & positive), weights @ positive)
        overall["specificity_at_point"] = share(weights @ ~(claimed | positive), weights @ ~positive)
    return Figures(overall, each)


def confusion(truth: Ints, predicted: Ints, weights: Floats, size: int) -> Floats:
    """(N,) truth and predictions under (R, N) weights → (R, size, size) counts, truth by rows."""
    cells = np.eye(size * size)[truth * size + predicted]
    tables: Floats = (weights @ cells).reshape(-1, size, size)
    return tables


def from_counts(tables: Floats) -> Figures:
    """What (R, K, K) confusion tables tell.

    Precision is 0 for a class that is never predicted, MCC 0 where it is 0/0, as scikit-learn has it.
    """
    hits = np.diagonal(tables, axis1=1, axis2=2)
    support, claimed, total = tables.sum(2), tables.sum(1), tables.sum((1, 2))
    recall, precision = share(hits, support), share(hits, claimed, 0.0)
    rest = total[:, None] - support
    specificity = share(rest - (claimed - hits), rest)
    f1 = share(2 * hits, support + claimed, 0.0)
    there = np.where(support > 0, 1.0, np.nan)
    right, chance = hits.sum(1), (support * claimed).sum(1)
    spread = (total**2 - (support**2).sum(1)) * (total**2 - (claimed**2).sum(1))
    overall = {
        "accuracy": right / total,
        "balanced_accuracy": mean_defined(recall),
        "macro_precision": mean_defined(precision * there),
        "macro_specificity": mean_defined(np.where(support > 0, specificity, np.nan)),
        "macro_f1": mean_defined(f1 * there),
        "weighted_f1": (f1 * support).sum(1) / total,
        "mcc": share(right * total - chance, np.sqrt(spread.clip(0)), 0.0),
        "kappa": share(right / total - chance / total**2, 1 - chance / total**2),
    }
    return Figures(overall, {"precision": precision, "recall": recall, "specificity": specificity, "f1": f1})


def ranked(scores: Floats, positive: NDArray[np.bool_], weights: Floats) -> dict[str, Floats]:
    """What the order of (N,) scores tells of (N,) positives: AUROC (ties count half), average precision, two points."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
    sorted_weights = weights[:, order]
    pos = np.add.reduceat(sorted_weights * positive[order], starts, axis=1)
    neg = np.add.reduceat(sorted_weights * ~positive[order], starts, axis=1)
    all_pos, all_neg = pos.sum(1), neg.sum(1)
    below = neg.cumsum(1) - neg
    hits, alarms = (values[:, ::-1].cumsum(1)[:, ::-1] for values in (pos, neg))
    precision = share(hits, hits + alarms, 0.0)
    both = all_pos * all_neg > 0
    sensitivity, specificity = share(hits, all_pos[:, None]), share(all_neg[:, None] - alarms, all_neg[:, None])
    enough = 0.95 - 1e-12
    return {
        "auroc": share((pos * (below + neg / 2)).sum(1), all_pos * all_neg),
        "auprc": np.where(both, share((pos * precision).sum(1), all_pos), np.nan),
        # Above the highest score nothing is positive: specificity 1, sensitivity 0.
        "sensitivity_at_95_specificity": np.where(both, (sensitivity * (specificity >= enough)).max(1), np.nan),
        "specificity_at_95_sensitivity": np.where(both, (specificity * (sensitivity >= enough)).max(1), np.nan),
    }


def proper(truth: Ints, probabilities: Floats, weights: Floats) -> dict[str, Floats]:
    """Brier score (of two classes that of the first alone, as scikit-learn has it) and log loss."""
    size = probabilities.shape[1]
    brier = ((probabilities - np.eye(size)[truth]) ** 2).sum(1) / (2 if size == 2 else 1)
    of_true = probabilities[np.arange(len(truth)), truth].clip(np.finfo(np.float64).eps, 1)
    total = weights.sum(1)
    return {"brier": weights @ brier / total, "log_loss": weights @ -np.log(of_true) / total}


def calibration_error(confidence: Floats, right: NDArray[np.bool_], weights: Floats) -> Floats:
    """Expected calibration error (R,): the mean gap between confidence and share of hits, over bins of equal mass.

    The bins are those of the rows as they are, for all weightings.
    """
    member = bins(confidence)
    gaps = weights @ (np.eye(BINS)[member] * (right - confidence)[:, None])
    error: Floats = np.abs(gaps).sum(1) / weights.sum(1)
    return error


def error_if_calibrated(confidence: Floats, seed: int, draws: int = 200) -> float:
    """The mean calibration error that so many rows of this confidence show where the truth is drawn by it: not 0."""
    random = np.random.default_rng(seed)
    ones = np.ones((1, len(confidence)))
    errors = [calibration_error(confidence, random.random(len(confidence)) < confidence, ones) for _ in range(draws)]
    return float(np.mean(errors))


def bins(confidence: Floats) -> Ints:
    """(N,) numbers of bins between quantiles; equal values stay together."""
    edges = np.quantile(confidence, np.linspace(0, 1, BINS + 1)[1:-1])
    return np.searchsorted(edges, confidence, side="right").astype(np.int64)


def wilson(hits: float, n: float) -> tuple[float, float]:
    """95 % score interval of a proportion (Wilson 1927)."""
    z = 1.959963984540054
    center = (hits + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * np.sqrt(hits * (n - hits) / n + z * z / 4)
    return max(0.0, float(center - half)), min(1.0, float(center + half))


def mean_defined(values: Floats) -> Floats:
    """The mean of each row of (R, K) without NaN; NaN where nothing is left."""
    defined = np.isfinite(values)
    return share(np.where(defined, values, 0.0).sum(1), defined.sum(1))


def share(part: Floats, whole: Floats, otherwise: float = np.nan) -> Floats:
    """part / whole, and `otherwise` where the whole is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, float), np.asarray(whole, float))
    result: Floats = np.divide(part, whole, out=np.full(part.shape, otherwise), where=whole > 0)
    return result
