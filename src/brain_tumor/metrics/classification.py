"""Classification metrics for many weightings of the same predictions together, as a bootstrap needs them.

N rows, K classes, R weightings. A metric that is not defined (AUROC with a single class) is NaN. Averages over classes
are taken over the classes that occur.
"""

from typing import NamedTuple

import numpy as np

from brain_tumor.core.types import Floats, Ints, Masks

SQUARED_GAPS = "squared_gaps"  # plug-in estimate, from which `calibration_error` is computed
NUM_BINS = 15  # of the calibration errors, each with the same number of rows
TARGET_RATE = (
    0.95 - 1e-12
)  # sensitivity or specificity at which the other one is reported; rounding errors count as equal


class Metrics(NamedTuple):
    """Metrics by name: `overall` (R,), `by_class` (R, K)."""

    overall: dict[str, Floats]
    by_class: dict[str, Floats]


def classification_metrics(
    truth: Ints, probabilities: Floats, weights: Floats, operating_point: float | None = None
) -> Metrics:
    """Compute all metrics of predictions.

    Args:
        truth: (N,) class numbers.
        probabilities: (N, K); the predicted class is the first of the most probable ones.
        weights: (R, N), of each weighting at least one above 0.
        operating_point: decision threshold on the probability of the first class (binary tasks only).
    """
    num_classes = probabilities.shape[1]
    overall, by_class = metrics_from_confusion(confusion_matrices(truth, probabilities.argmax(1), weights, num_classes))
    rankings = [ranking_metrics(probabilities[:, k], truth == k, weights) for k in range(num_classes)]
    by_class |= {name: np.stack([ranking[name] for ranking in rankings], 1) for name in ("auroc", "auprc")}
    overall |= {name: mean_defined(by_class[name]) for name in ("auroc", "auprc")}
    overall |= proper_scores(truth, probabilities, weights)
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == truth
    overall["ece"] = calibration_error(confidence, correct, weights)
    overall[SQUARED_GAPS] = squared_gaps(confidence, correct, weights)
    errors = [squared_gaps(probabilities[:, k], truth == k, weights) for k in range(num_classes)]
    by_class[SQUARED_GAPS] = np.stack(errors, 1)
    if num_classes == 2:
        names = ("sensitivity_at_95_specificity", "specificity_at_95_sensitivity")
        overall |= {name: rankings[0][name] for name in names}
    if num_classes == 2 and operating_point is not None:
        predicted = probabilities[:, 0] >= operating_point
        positive = truth == 0
        overall["sensitivity_at_point"] = safe_divide(weights @ (predicted & positive), weights @ positive)
        overall["specificity_at_point"] = safe_divide(weights @ ~(predicted | positive), weights @ ~positive)
    return Metrics(overall, by_class)


def confusion_matrices(truth: Ints, predicted: Ints, weights: Floats, num_classes: int) -> Floats:
    """Count (N,) true and predicted classes under (R, N) weights: (R, K, K), true classes by rows."""
    cells = np.eye(num_classes * num_classes)[truth * num_classes + predicted]
    matrices: Floats = (weights @ cells).reshape(-1, num_classes, num_classes)
    return matrices


def count_confusion(truth: Ints, predicted: Ints, num_classes: int) -> Ints:
    """Count (N,) true and predicted classes: (K, K) whole numbers, true classes by rows."""
    counts = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(counts, (truth, predicted), 1)
    return counts


def metrics_from_confusion(matrices: Floats) -> Metrics:
    """Compute metrics from (R, K, K) confusion matrices, true classes by rows.

    As in scikit-learn, precision is 0 for a class that is never predicted, and MCC is 0 where it is 0/0.
    """
    hits = np.diagonal(matrices, axis1=1, axis2=2)
    support, predicted_count, total = matrices.sum(2), matrices.sum(1), matrices.sum((1, 2))
    recall, precision = safe_divide(hits, support), safe_divide(hits, predicted_count, 0.0)
    negatives = total[:, None] - support
    specificity = safe_divide(negatives - (predicted_count - hits), negatives)
    f1 = safe_divide(2 * hits, support + predicted_count, 0.0)
    present = np.where(support > 0, 1.0, np.nan)
    correct, chance = hits.sum(1), (support * predicted_count).sum(1)
    spread = (total**2 - (support**2).sum(1)) * (total**2 - (predicted_count**2).sum(1))
    overall = {
        "accuracy": correct / total,
        "balanced_accuracy": mean_defined(recall),
        "macro_precision": mean_defined(precision * present),
        "macro_specificity": mean_defined(np.where(support > 0, specificity, np.nan)),
        "macro_f1": mean_defined(f1 * present),
        "weighted_f1": (f1 * support).sum(1) / total,
        "mcc": safe_divide(correct * total - chance, np.sqrt(spread.clip(0)), 0.0),
        "kappa": safe_divide(correct / total - chance / total**2, 1 - chance / total**2),
    }
    return Metrics(overall, {"precision": precision, "recall": recall, "specificity": specificity, "f1": f1})


def ranking_metrics(scores: Floats, positive: Masks, weights: Floats) -> dict[str, Floats]:
    """Compute metrics of the order of scores.

    Args:
        scores: (N,) of the positive class.
        positive: (N,) rows of the positive class.
        weights: (R, N).

    Returns:
        (R,) AUROC (ties count half), average precision, and sensitivity and specificity each at 95 % of the other.
    """
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
    sorted_weights = weights[:, order]
    pos = np.add.reduceat(sorted_weights * positive[order], starts, axis=1)
    neg = np.add.reduceat(sorted_weights * ~positive[order], starts, axis=1)
    all_pos, all_neg = pos.sum(1), neg.sum(1)
    neg_below = neg.cumsum(1) - neg
    true_positives, false_positives = (values[:, ::-1].cumsum(1)[:, ::-1] for values in (pos, neg))
    precision = safe_divide(true_positives, true_positives + false_positives, 0.0)
    defined = all_pos * all_neg > 0
    sensitivity = safe_divide(true_positives, all_pos[:, None])
    specificity = safe_divide(all_neg[:, None] - false_positives, all_neg[:, None])
    # Above the highest score nothing is positive: specificity 1, sensitivity 0.
    at_specificity = (sensitivity * (specificity >= TARGET_RATE)).max(1)
    at_sensitivity = (specificity * (sensitivity >= TARGET_RATE)).max(1)
    return {
        "auroc": safe_divide((pos * (neg_below + neg / 2)).sum(1), all_pos * all_neg),
        "auprc": np.where(defined, safe_divide((pos * precision).sum(1), all_pos), np.nan),
        "sensitivity_at_95_specificity": np.where(defined, at_specificity, np.nan),
        "specificity_at_95_sensitivity": np.where(defined, at_sensitivity, np.nan),
    }


def proper_scores(truth: Ints, probabilities: Floats, weights: Floats) -> dict[str, Floats]:
    """Compute log loss and Brier score, the latter for only the first of two classes, as scikit-learn does."""
    num_classes = probabilities.shape[1]
    brier = ((probabilities - np.eye(num_classes)[truth]) ** 2).sum(1) / (2 if num_classes == 2 else 1)
    p_true = probabilities[np.arange(len(truth)), truth].clip(np.finfo(np.float64).eps, 1)
    total = weights.sum(1)
    return {"brier": weights @ brier / total, "log_loss": weights @ -np.log(p_true) / total}


def calibration_error(confidence: Floats, correct: Masks, weights: Floats) -> Floats:
    """Compute the expected calibration error (R,): the mean gap of confidence and accuracy over bins of equal mass.

    The bins are those of the unweighted rows, for all weightings. With few rows it is above 0 even for a model that is
    perfectly calibrated: `squared_gaps` without its `squared_gap_bias` is not.
    """
    bins = np.eye(NUM_BINS)[assign_bins(confidence)]
    gaps = weights @ (bins * (correct - confidence)[:, None])
    error: Floats = np.abs(gaps).sum(1) / weights.sum(1)
    return error


def squared_gaps(confidence: Floats, correct: Masks, weights: Floats) -> Floats:
    """Compute the mean squared gap (R,) of confidence and accuracy over bins of equal mass."""
    bins = np.eye(NUM_BINS)[assign_bins(confidence)]
    gaps, sizes = weights @ (bins * (correct - confidence)[:, None]), weights @ bins
    error: Floats = (safe_divide(gaps, sizes, 0.0) * gaps).sum(1) / weights.sum(1)
    return error


def squared_gap_bias(confidence: Floats, correct: Masks, groups: Ints) -> float:
    """Compute by how much the unweighted `squared_gaps` is too large: the mean variance of the gaps.

    Kumar, Liang and Ma (2019) subtract it, with the variance of independent rows; here it is that of whole groups.

    Args:
        groups: (N,) number of the group of each row.
    """
    residuals, bins = correct - confidence, assign_bins(confidence)
    total = 0.0
    for number in np.unique(bins):
        rows = bins == number
        values = residuals[rows] - residuals[rows].mean()
        sums = np.bincount(groups[rows], values)
        count = len(np.unique(groups[rows]))
        # A bin with a single group says nothing about its variance: its whole gap may be chance.
        variance = (sums**2).sum() / rows.sum() ** 2 * count / (count - 1) if count > 1 else residuals[rows].mean() ** 2
        total += float(variance) * int(rows.sum())
    return total / len(residuals)


def assign_bins(confidence: Floats) -> Ints:
    """Return (N,) bin numbers, the bins lying between quantiles; equal values share a bin."""
    edges = np.quantile(confidence, np.linspace(0, 1, NUM_BINS + 1)[1:-1])
    return np.searchsorted(edges, confidence, side="right").astype(np.int64)


def wilson_interval(hits: float, n: float) -> tuple[float, float]:
    """Return the 95 % score interval of a proportion (Wilson 1927)."""
    z = 1.959963984540054
    center = (hits + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * np.sqrt(hits * (n - hits) / n + z * z / 4)
    return max(0.0, float(center - half)), min(1.0, float(center + half))


def mean_defined(values: Floats) -> Floats:
    """Return the mean of each row of (R, K) without NaN; NaN where all are NaN."""
    defined = np.isfinite(values)
    return safe_divide(np.where(defined, values, 0.0).sum(1), defined.sum(1))


def safe_divide(part: Floats, whole: Floats, default: float = np.nan) -> Floats:
    """Return part / whole, and `default` where the whole is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, float), np.asarray(whole, float))
    result: Floats = np.divide(part, whole, out=np.full(part.shape, default), where=whole > 0)
    return result
