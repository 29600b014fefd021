"""Coverage of the intervals by simulation, at the sizes where a percentile bootstrap fails, and their edges."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import beta, bootstrap
from sklearn.metrics import roc_auc_score

from brain_tumor.metrics.classification import (
    confusion_matrices,
    metrics_from_confusion,
    squared_gap_bias,
    squared_gaps,
)
from brain_tumor.metrics.intervals import (
    auroc_interval,
    bootstrap_interval,
    calibration_interval,
    effective_size,
    proportion_interval,
    quantile_interval,
    sample_confusions,
)

SIMULATIONS = 400
MIN_COVERAGE = 0.92  # of nominally 0.95: with 400 simulations, one in 250 of these checks would fall below by chance


def coverage(interval: Callable[[np.random.Generator], tuple[float, float]], truth: float) -> float:
    """Return the fraction of simulations whose interval contains the truth."""
    intervals = [interval(np.random.default_rng(seed)) for seed in range(SIMULATIONS)]
    return float(np.mean([low <= truth <= high for low, high in intervals]))


def singles(count: int) -> np.ndarray:
    return np.arange(count)


@pytest.mark.parametrize(("n", "p"), [(10, 0.9), (10, 0.5), (37, 0.98), (96, 0.7)])
def test_proportion_interval_covers_where_a_percentile_bootstrap_does_not(n: int, p: float) -> None:
    assert coverage(lambda random: proportion_interval(random.random(n) < p, singles(n)), p) >= MIN_COVERAGE

    def percentile(random: np.random.Generator) -> tuple[float, float]:
        hits = (random.random(n) < p).astype(float)
        resamples = hits[random.integers(n, size=(300, n))].mean(1)
        low, high = np.quantile(resamples, (0.025, 0.975))
        return float(low), float(high)

    if n == 10 and p == 0.9:
        assert coverage(percentile, p) < 0.75, "the check would pass with any interval"


def test_proportion_interval_covers_for_groups_of_copies_and_for_loose_groups() -> None:
    groups = np.repeat(np.arange(25), 4)

    def copies(random: np.random.Generator) -> tuple[float, float]:
        return proportion_interval(np.repeat(random.random(25) < 0.85, 4), groups)

    def loose(random: np.random.Generator) -> tuple[float, float]:
        return proportion_interval(random.random(100) < np.repeat(random.beta(4, 1, 25), 4), groups)

    assert coverage(copies, 0.85) >= MIN_COVERAGE
    assert coverage(loose, 0.8) >= MIN_COVERAGE

    def independent(random: np.random.Generator) -> tuple[float, float]:
        return proportion_interval(np.repeat(random.random(25) < 0.85, 4), singles(100))

    assert coverage(independent, 0.85) < 0.8, "groups would not matter"


# Sizes of groups like those of the audit, where a few series have many images; truths vary from group to group.
UNEQUAL = (81, 40, 30, *(20,) * 3, *(10,) * 6, *(4,) * 8, *(1,) * 10)


@pytest.mark.parametrize(
    ("sizes", "a", "b"), [(UNEQUAL, 4, 0.5), (UNEQUAL, 8, 2), ((10,) * 12, 9, 0.5), ((30,) * 8, 4, 1)]
)
def test_proportion_interval_covers_for_few_or_unequal_groups(sizes: tuple[int, ...], a: float, b: float) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)

    def interval(random: np.random.Generator) -> tuple[float, float]:
        return proportion_interval(random.random(len(groups)) < random.beta(a, b, len(sizes))[groups], groups)

    assert coverage(interval, a / (a + b)) >= 0.88


def simulate_predictions(
    random: np.random.Generator, counts: tuple[int, ...], recalls: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw true classes and one-hot predictions: right with the recall of the class, else a random other class."""
    truth = np.repeat(np.arange(len(counts)), counts)
    right = random.random(len(truth)) < np.array(recalls)[truth]
    wrong = (truth + random.integers(1, len(counts), len(truth))) % len(counts)
    return truth, np.eye(len(counts))[np.where(right, truth, wrong)]


def expected_matrix(counts: tuple[int, ...], recalls: tuple[float, ...]) -> np.ndarray:
    wrong = len(counts) - 1
    cells = [
        [count * (recall if a == b else (1 - recall) / wrong) for b in range(len(counts))]
        for a, (count, recall) in enumerate(zip(counts, recalls, strict=True))
    ]
    return np.array([cells])


@pytest.mark.parametrize(
    ("counts", "recalls"),
    [
        ((186, 37, 10), (0.95, 0.9, 0.9)),  # the class of 10 is often all right: a percentile bootstrap covers 0.71
        ((24, 24, 24, 24), (0.95, 0.95, 0.95, 0.95)),  # the effects of priors on the classes add up
        ((24, 24, 24, 24), (0.6, 0.8, 0.7, 0.5)),
        ((10, 10, 10, 10), (0.9, 0.9, 0.9, 0.9)),
        ((30, 20), (0.9, 0.8)),
    ],
)
def test_sample_confusions_composites_are_covered(counts: tuple[int, ...], recalls: tuple[float, ...]) -> None:
    size = len(counts)
    truths = metrics_from_confusion(expected_matrix(counts, recalls)).overall
    covered: dict[str, list[bool]] = {"balanced_accuracy": [], "macro_f1": [], "mcc": []}
    for seed in range(SIMULATIONS):
        random = np.random.default_rng(seed)
        truth, probabilities = simulate_predictions(random, counts, recalls)
        predicted = probabilities.argmax(1)
        samples = sample_confusions(truth, predicted, singles(len(truth)), size, 500, random)
        sampled = metrics_from_confusion(samples).overall
        matrix = confusion_matrices(truth, predicted, np.ones((1, len(truth))), size)
        values = metrics_from_confusion(matrix).overall
        for metric, hits in covered.items():
            low, high = quantile_interval(float(values[metric][0]), sampled[metric])
            hits.append(low <= truths[metric][0] <= high)
    assert min(np.mean(hits) for hits in covered.values()) >= 0.9, covered


def simulate_calibration(random: np.random.Generator, n: int, distortion: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw two-class probabilities whose log-odds are `distortion` times the true ones."""
    odds = random.normal(0, 1.5, n)
    truth = (random.random(n) >= 1 / (1 + np.exp(-odds))).astype(np.int64)
    p = 1 / (1 + np.exp(-distortion * odds))
    return truth, np.stack([p, 1 - p], 1)


def calibration_estimate(random: np.random.Generator, n: int, distortion: float) -> tuple[float, float, float]:
    truth, probabilities = simulate_calibration(random, n, distortion)
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == truth
    weights = random.multinomial(n, np.full(n, 1 / n), 400).astype(float)
    squared = float(squared_gaps(confidence, correct, np.ones((1, n)))[0])
    bias = squared_gap_bias(confidence, correct, singles(n))
    return calibration_interval(squared, bias, squared_gaps(confidence, correct, weights))


@pytest.mark.parametrize("distortion", [1.0, 2.5])
def test_calibration_interval_is_debiased_and_covers(distortion: float) -> None:
    odds = np.random.default_rng(0).normal(0, 1.5, 10**6)
    confidence, right = (1 / (1 + np.exp(-scale * np.abs(odds))) for scale in (distortion, 1.0))
    truth = float(np.sqrt(np.mean((confidence - right) ** 2)))
    estimates = [calibration_estimate(np.random.default_rng(seed), 200, distortion) for seed in range(SIMULATIONS)]
    values, low, high = np.array(estimates).T
    assert (low <= values).all()
    assert (values <= high).all()
    assert np.mean((low <= truth + 0.005) & (truth - 0.005 <= high)) >= 0.9
    assert np.sqrt(np.mean(values**2)) == pytest.approx(truth, abs=0.05)
    # Half of the estimates of a calibrated model are 0; without the bias subtracted they would be about 0.1.
    assert np.median(values) < 0.04 if distortion == 1 else np.median(values) > 0.1


def test_squared_gap_bias_of_copies_is_that_of_single_rows() -> None:
    truth, probabilities = simulate_calibration(np.random.default_rng(0), 150, 1.0)
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == truth
    once = squared_gap_bias(confidence, correct, singles(150))
    copies = squared_gap_bias(np.repeat(confidence, 4), np.repeat(correct, 4), np.repeat(singles(150), 4))
    assert copies == pytest.approx(once, rel=0.1)
    assert squared_gap_bias(np.repeat(confidence, 4), np.repeat(correct, 4), singles(600)) < 0.5 * once


def test_auroc_interval_covers_and_has_a_width_where_the_area_is_one() -> None:
    positive = np.arange(60) < 20

    def interval(random: np.random.Generator) -> tuple[float, float]:
        scores = random.normal(0, 1, 60) + 1.5 * positive
        return auroc_interval(scores, positive, singles(60))

    area = 0.8555778  # of two normal distributions 1.5 apart
    assert coverage(interval, area) >= MIN_COVERAGE
    low, high = auroc_interval(positive.astype(float), positive, singles(60))
    assert 0.85 < low < 0.99
    assert high == 1.0
    low, high = auroc_interval(-positive.astype(float), positive, singles(60))
    assert low == 0.0
    assert 0.01 < high < 0.15
    scores = np.random.default_rng(0).normal(0, 1, 60) + positive
    low, high = auroc_interval(scores, positive, singles(60))
    assert low < roc_auc_score(positive, scores) < high
    assert np.isnan(auroc_interval(scores, np.ones(60, bool), singles(60))).all()


def test_auroc_interval_is_wider_for_copies() -> None:
    random = np.random.default_rng(0)
    positive = np.repeat(np.arange(30) < 10, 5)
    scores = np.repeat(random.normal(0, 1, 30), 5) + positive
    copies = auroc_interval(scores, positive, np.repeat(np.arange(30), 5))
    independent = auroc_interval(scores, positive, singles(150))
    once = auroc_interval(scores[::5], positive[::5], singles(30))
    assert copies == pytest.approx(once, abs=1e-3)
    assert copies[1] - copies[0] > 1.5 * (independent[1] - independent[0])


def test_proportion_interval_of_single_rows_is_that_of_jeffreys() -> None:
    hits = np.arange(40) < 30
    low, high = proportion_interval(hits, singles(40))
    assert (low, high) == pytest.approx(beta.interval(0.95, 30.5, 10.5), rel=1e-9)
    assert proportion_interval(np.ones(5, bool), singles(5))[1] == 1.0
    assert proportion_interval(np.zeros(5, bool), singles(5))[0] == 0.0


def test_effective_size_is_the_number_of_rows_of_copies_or_between() -> None:
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(50), 4)
    independent = random.random(200).round()
    assert effective_size(independent, singles(200)) == pytest.approx(200)
    assert effective_size(np.repeat(random.random(50).round(), 4), groups) == pytest.approx(50, rel=0.05)
    assert 100 < effective_size(independent, groups) <= 200
    # Nothing is known of the variance if all are equal: as if the rows of a group were copies.
    assert effective_size(np.ones(200), groups) == 50
    assert effective_size(np.ones(1), np.zeros(1, np.int64)) == 1


def test_bootstrap_interval_of_few_groups_is_wider_than_percentiles() -> None:
    random = np.random.default_rng(0)
    values = random.normal(0, 1, 8)
    resamples = values[random.integers(8, size=(20000, 8))].mean(1)
    low, high = bootstrap_interval(resamples, 8)
    percentile = bootstrap((values,), np.mean, method="percentile", n_resamples=20000, rng=0).confidence_interval
    assert high - low > 1.2 * (percentile.high - percentile.low)
    wide = bootstrap_interval(resamples, 10**6)
    assert wide == pytest.approx(tuple(percentile), abs=0.02)
    assert np.isnan(bootstrap_interval(np.full(3, np.nan), 3)).all()
    assert np.isnan(bootstrap_interval(np.ones(100), 3)).all(), "an interval without a width would be false"


def test_bootstrap_interval_covers_the_mean_of_skewed_losses() -> None:
    def interval(random: np.random.Generator) -> tuple[float, float]:
        losses = random.exponential(1, 30)
        return bootstrap_interval(losses[random.integers(30, size=(300, 30))].mean(1), 30)

    assert coverage(interval, 1.0) >= 0.9


def test_quantile_interval_holds_the_value() -> None:
    assert quantile_interval(1.0, np.linspace(0.5, 0.9, 1000)) == pytest.approx((0.51, 1.0), abs=1e-3)
    assert np.isnan(quantile_interval(np.nan, np.ones(3))).all()
