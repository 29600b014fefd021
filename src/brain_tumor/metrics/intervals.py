"""95 % intervals that hold for few images, for proportions near 0 or 1, and for images that come in groups.

A percentile bootstrap of ten images of which nine are right covers the truth in about two of three cases, and has no
width where all are right. Simulations of the coverage are in tests/metrics/test_intervals.py.
"""

import numpy as np
from scipy.optimize import brentq
from scipy.special import betaincinv
from scipy.stats import norm, t

from brain_tumor.core.types import Floats, Ints, Masks

Z = 1.959963984540054
TAIL = 0.025
EDGE = 1e-9  # distance from 0 and 1
MIN_GROUPS = 1.01  # Student's t has no quantiles for one group
PRIOR = 0.5  # pseudo-counts on each side of a proportion (Jeffreys)


def effective_size(values: Floats, groups: Ints) -> float:
    """Return the number of independent rows with the same variance of the mean: n divided by the design effect.

    The design effect is the variance of the mean over whole groups, divided by that over independent rows. It is at
    least 1 and at most what it would be if all rows of a group were equal, which it is taken to be where all values are
    equal and nothing can be estimated. Where it was estimated, the result is smaller the fewer groups there are, as by
    Korn and Graubard (1998), with groups of unequal sizes counted as fewer.

    Args:
        values: (n,) of the rows, such as whether each one is right.
        groups: (n,) number of the group of each row.
    """
    n = len(values)
    if n < 2:
        return float(n)
    members = np.bincount(groups)
    members = members[members > 0]
    largest = float((members.astype(float) ** 2).sum() / n)
    residuals = values - values.mean()
    variance = float((residuals**2).sum()) / n**2
    if variance == 0 or len(members) < 2:
        return n / largest
    sums = np.bincount(groups, residuals)
    clustered = float((sums**2).sum()) / n**2 * len(members) / (len(members) - 1)
    size, num_groups = n / min(max(clustered / variance, 1.0), largest), n / largest
    if size > num_groups > MIN_GROUPS:
        size *= float((t.ppf(1 - TAIL, size - 1) / t.ppf(1 - TAIL, num_groups - 1)) ** 2)
    return size


def proportion_interval(hits: Masks, groups: Ints) -> tuple[float, float]:
    """Return Jeffreys' interval of a proportion (Brown et al. 2001), with the effective number of rows.

    Args:
        hits: (n,) whether each row counts.
        groups: (n,) number of the group of each row.
    """
    values = np.asarray(hits, float)
    share, size = float(values.mean()), effective_size(values, groups)
    yes, no = share * size + PRIOR, (1 - share) * size + PRIOR
    low, high = float(betaincinv(yes, no, TAIL)), float(betaincinv(yes, no, 1 - TAIL))
    return (0.0 if share == 0 else low), (1.0 if share == 1 else high)


def sample_confusions(
    truth: Ints, predicted: Ints, groups: Ints, num_classes: int, rounds: int, random: np.random.Generator
) -> Floats:
    """Sample confusion matrices that are compatible with the predictions: (rounds, K, K), true classes by rows.

    The predictions for each true class are multinomial, with the effective number of rows and a prior of 1/K rows on
    the right class and as many on all others together: Jeffreys' prior for two classes. With more it is weaker, since
    its effects on the classes add up in their mean. The number of rows of each class stays as it is.

    Args:
        truth, predicted, groups: (n,) class numbers and number of the group.
    """
    matrices = np.zeros((rounds, num_classes, num_classes))
    for label in np.unique(truth):
        rows = truth == label
        counts = np.bincount(predicted[rows], minlength=num_classes).astype(float)
        prior = np.full(num_classes, 1 / (num_classes * max(num_classes - 1, 1)))
        prior[label] = 1 / num_classes
        size = effective_size((predicted[rows] == label).astype(float), groups[rows])
        matrices[:, label] = random.dirichlet(counts * size / counts.sum() + prior, rounds) * counts.sum()
    return matrices


def quantile_interval(value: float, samples: Floats) -> tuple[float, float]:
    """Return the central 95 % of (R,) samples, widened to hold the value; NaN where the value is not defined."""
    defined = samples[np.isfinite(samples)]
    if not len(defined) or not np.isfinite(value):
        return np.nan, np.nan
    low, high = np.quantile(defined, (TAIL, 1 - TAIL))
    return min(float(low), value), max(float(high), value)


def bootstrap_interval(resamples: Floats, num_groups: int) -> tuple[float, float]:
    """Return the expanded percentile interval (Hesterberg 2015) of (R,) resamples.

    Resamples of few groups vary less than new samples would; the quantiles are moved outwards as for Student's t. There
    is no interval (NaN) where no resample is defined, or where all are equal: nothing is known of the variance then.
    """
    defined = resamples[np.isfinite(resamples)]
    if not len(defined) or np.ptp(defined) < EDGE:
        return np.nan, np.nan
    tail = TAIL
    if num_groups > 1:
        tail = float(norm.cdf(-np.sqrt(num_groups / (num_groups - 1)) * t.ppf(1 - TAIL, num_groups - 1)))
    low, high = np.quantile(defined, (tail, 1 - tail))
    return float(low), float(high)


def auroc_interval(scores: Floats, positive: Masks, groups: Ints) -> tuple[float, float]:
    """Return the interval of Newcombe (2006, method 5) of an AUROC, which has a width where the AUROC is 1.

    Its variance is that of Hanley and McNeil, with effective numbers of positive and negative rows.

    Args:
        scores: (n,) of the positive class.
        positive: (n,) whether a row belongs to it.
        groups: (n,) number of the group of each row.

    Returns:
        The interval; NaN with only one class.
    """
    if positive.all() or not positive.any():
        return np.nan, np.nan
    sizes, area = [], 0.0
    for part, other in ((positive, ~positive), (~positive, positive)):
        sorted_scores = np.sort(scores[other])
        below, up_to = (np.searchsorted(sorted_scores, scores[part], side=side) for side in ("left", "right"))
        placements = (below + up_to) / 2 / len(sorted_scores)
        area = float(placements.mean()) if part is positive else area
        sizes.append(effective_size(placements, groups[part]))
    extra = max((sizes[0] + sizes[1]) / 2 - 1, 0.0)

    def excess(theta: float) -> float:
        """Squared distance from the area, minus what it may be."""
        spread = 1 + extra * (1 - theta) / (2 - theta) + extra * theta / (1 + theta)
        return (theta - area) ** 2 - Z**2 * theta * (1 - theta) * spread / (sizes[0] * sizes[1])

    inside = min(max(area, EDGE), 1 - EDGE)  # there the variance is above 0, and the excess below
    low = 0.0 if area <= EDGE else float(brentq(excess, 0.0, inside))
    high = 1.0 if area >= 1 - EDGE else float(brentq(excess, inside, 1.0))
    return low, high


def calibration_interval(squared_error: float, bias: float, resamples: Floats) -> tuple[float, float, float]:
    """Return the debiased root mean squared calibration error, and its interval.

    The squared gaps of confidence and accuracy are too large on average, since accuracies of few rows vary; so are
    those of resamples. The interval is the basic bootstrap of the squared error, limited to 0 and more.

    Args:
        squared_error: mean squared gap over the bins.
        bias: by how much it is too large.
        resamples: (R,) mean squared gaps of resamples.
    """
    defined = resamples[np.isfinite(resamples)]
    value = float(np.sqrt(max(squared_error - bias, 0.0)))
    if not len(defined):
        return value, np.nan, np.nan
    low, high = 2 * squared_error - np.quantile(defined, (1 - TAIL, TAIL))
    return value, min(float(np.sqrt(max(low, 0.0))), value), max(float(np.sqrt(max(high, 0.0))), value)
