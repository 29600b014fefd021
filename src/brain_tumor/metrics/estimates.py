"""Tables of metrics with their 95 % intervals: for each metric the interval that holds for it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from brain_tumor.core.types import Floats, Ints, Masks
from brain_tumor.metrics.classification import (
    SQUARED_GAPS,
    Metrics,
    mean_defined,
    metrics_from_confusion,
    squared_gap_bias,
)
from brain_tumor.metrics.intervals import (
    auroc_interval,
    bootstrap_interval,
    calibration_interval,
    proportion_interval,
    quantile_interval,
    sample_confusions,
)

CALIBRATION_ERROR = "calibration_error"  # debiased root mean squared gap; by class, that of the class's probability
BIASED = "ece"  # has no interval: with few images, it is above 0 even for a perfectly calibrated model
Line = tuple[str, str, int, float, float, float]  # class ('' for all), metric, n, value, low, high


class SubsetRows(NamedTuple):
    """The rows of a subset and the predictions for them.

    Attributes:
        truth: (n,) class numbers.
        probabilities: (n, K).
        groups: (n,) number of the group of each row.
        means: (n,) values by metric name; their mean is a metric of its own, a proportion if the values are boolean.
        operating_point: decision threshold on the probability of the first class, or None.
        rounds, seed: number of samples of the intervals that are sampled, and the seed that draws them.
    """

    truth: Ints
    probabilities: Floats
    groups: Ints
    means: Mapping[str, Floats | Masks]
    operating_point: float | None
    rounds: int
    seed: int


def tabulate_metrics(rows: SubsetRows, estimate: Metrics, resamples: Metrics, classes: Sequence[str]) -> pd.DataFrame:
    """List the metrics of a subset, those of all classes together first.

    Args:
        rows: the subset.
        estimate: its metrics (R = 1), from `classification_metrics`, and the means.
        resamples: the same of R resamples of whole groups.
        classes: names of the K classes.

    Returns:
        class, metric, n, value, low, high. By class, n is the number of rows of the class.
    """
    samples, proportions = _sample_metrics(rows, len(classes)), _proportions(rows)
    aurocs = [auroc_interval(rows.probabilities[:, k], rows.truth == k, rows.groups) for k in range(len(classes))]
    num_groups = len(np.unique(rows.groups))
    lines: list[Line] = []
    for name, values in estimate.overall.items():
        n, value = len(rows.truth), float(values[0])
        if name == SQUARED_GAPS:
            confidence, right = rows.probabilities.max(1), rows.probabilities.argmax(1) == rows.truth
            lines.append(("", *_calibration_line(value, resamples.overall[name], confidence, right, rows.groups, n)))
            continue
        if name in proportions:
            interval = proportion_interval(proportions[name], rows.groups)
        elif name == "auroc":
            # The mean of the ends: as wide as if the classes' areas always erred together.
            low, high = mean_defined(np.array(aurocs).T)
            interval = float(low), float(high)
        else:
            interval = _overall_interval(name, value, rows, samples.overall, resamples.overall, num_groups)
        lines.append(("", *interval_line(name, n, value, interval)))
    for name, table in estimate.by_class.items():
        for k, label in enumerate(classes):
            of_class = rows.truth == k
            n, value = int(of_class.sum()), float(table[0, k])
            if name == SQUARED_GAPS:
                if n:
                    scores, gaps = rows.probabilities[:, k], resamples.by_class[name][:, k]
                    lines.append((label, *_calibration_line(value, gaps, scores, of_class, rows.groups, n)))
                continue
            if name in proportions and n:
                interval = proportion_interval(proportions[name][of_class], rows.groups[of_class])
            elif name == "auroc":
                interval = aurocs[k]
            elif name in samples.by_class:
                interval = quantile_interval(value, samples.by_class[name][:, k])
            else:
                interval = bootstrap_interval(resamples.by_class[name][:, k], num_groups)
            lines.append((label, *interval_line(name, n, value, interval)))
    return pd.DataFrame(lines, columns=["class", "metric", "n", "value", "low", "high"])


def tabulate_differences(
    estimate: Metrics, resamples: Metrics, truth: Ints, num_groups: int, classes: Sequence[str]
) -> pd.DataFrame:
    """List differences of metrics, from differences of the same resamples; arguments as for `tabulate_metrics`.

    Args:
        estimate, resamples: differences.
        truth: (n,) class numbers of the rows.
        num_groups: number of their groups.
        classes: names of the K classes.
    """
    lines: list[Line] = []
    for name, values in estimate.overall.items():
        if name not in (SQUARED_GAPS, BIASED):
            interval = bootstrap_interval(resamples.overall[name], num_groups)
            lines.append(("", *interval_line(name, len(truth), float(values[0]), interval)))
    for name, table in estimate.by_class.items():
        if name != SQUARED_GAPS:
            for k, label in enumerate(classes):
                interval = bootstrap_interval(resamples.by_class[name][:, k], num_groups)
                n = int((truth == k).sum())
                lines.append((label, *interval_line(name, n, float(table[0, k]), interval)))
    return pd.DataFrame(lines, columns=["class", "metric", "n", "value", "low", "high"])


def interval_line(
    metric: str, n: int, value: float, interval: tuple[float, float]
) -> tuple[str, int, float, float, float]:
    """Return metric, n, value and the ends of its interval, which holds the value; NaN where it is not defined."""
    if not np.isfinite(value):
        return metric, n, value, np.nan, np.nan
    return metric, n, value, min(interval[0], value), max(interval[1], value)


def _overall_interval(
    name: str,
    value: float,
    rows: SubsetRows,
    samples: Mapping[str, Floats],
    resamples: Mapping[str, Floats],
    num_groups: int,
) -> tuple[float, float]:
    """Choose the interval of a metric of all classes together."""
    if name == BIASED:
        return np.nan, np.nan
    if name in samples:
        return quantile_interval(value, samples[name])
    if name in ("sensitivity_at_point", "specificity_at_point") and rows.operating_point is not None:
        is_positive = rows.truth == 0
        wanted = is_positive if name.startswith("sensitivity") else ~is_positive
        hits = (rows.probabilities[:, 0] >= rows.operating_point) == is_positive
        return proportion_interval(hits[wanted], rows.groups[wanted]) if wanted.any() else (np.nan, np.nan)
    return bootstrap_interval(resamples[name], num_groups)


def _sample_metrics(rows: SubsetRows, num_classes: int) -> Metrics:
    """Sample the metrics of confusion matrices that are compatible with the predictions."""
    random = np.random.default_rng(rows.seed)
    predicted = rows.probabilities.argmax(1)
    return metrics_from_confusion(
        sample_confusions(rows.truth, predicted, rows.groups, num_classes, rows.rounds, random)
    )


def _proportions(rows: SubsetRows) -> dict[str, Masks]:
    """Return by metric (n,) whether each row counts, of metrics that are the proportion of rows, of a class or of all.

    By class, `accuracy` is called recall.
    """
    right = rows.probabilities.argmax(1) == rows.truth
    return {"accuracy": right, "recall": right} | {
        name: values.astype(bool) for name, values in rows.means.items() if values.dtype == bool
    }


def _calibration_line(
    squared_error: float, resamples: Floats, scores: Floats, outcomes: Masks, groups: Ints, n: int
) -> tuple[str, int, float, float, float]:
    """Return metric, n, value and interval of the debiased calibration error of (n,) scores for their outcomes."""
    bias = squared_gap_bias(scores, outcomes, groups)
    return CALIBRATION_ERROR, n, *calibration_interval(squared_error, bias, resamples)
