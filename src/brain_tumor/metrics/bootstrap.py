"""Metrics and differences of metrics with 95 % intervals, by one bootstrap over groups for all models and subsets."""

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

from brain_tumor.core.params import Block
from brain_tumor.core.types import Floats, Ints, Masks
from brain_tumor.metrics.classification import Metrics, classification_metrics, safe_divide
from brain_tumor.metrics.estimates import SubsetRows, interval_line, tabulate_differences, tabulate_metrics
from brain_tumor.metrics.intervals import bootstrap_interval, proportion_interval
from brain_tumor.parallel import ordered_map

CHUNK_ROUNDS = 100  # resamples computed together
METHOD = "95 % intervals over groups: Jeffreys for proportions, bootstrap for differences and scores"
ALL = "all"  # in `subset` of a cross-validation: every image, predicted by the model of the fold that tests it
CORRECTED = "corrected"  # in `subset`: all test rows, with the label of their source where it is known
KEY_COLUMNS = (
    "model", "reference", "subset", "reference_subset", "attribute", "attribute_value", "class", "metric",
)  # fmt: skip
COLUMNS = (*KEY_COLUMNS, "n", "value", "low", "high")


class PredictionSet(NamedTuple):
    """Predictions of a model for a subset of the rows.

    Attributes:
        model, subset: names, which become columns of the table.
        probabilities: (N, K) of all rows.
        mask: (N,) rows of the subset.
        means: (N,) values by metric name; their mean is a metric of its own, a proportion if the values are boolean.
        attribute, attribute_value: how the subset is restricted further, as `plane` and `axial`; '' if it is not.
    """

    model: str
    subset: str
    probabilities: Floats
    mask: Masks
    means: Mapping[str, Floats | Masks] = {}
    attribute: str = ""
    attribute_value: str = ""


class Estimate(NamedTuple):
    """A metric of n images with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        """Format as `0.873 (0.812–0.921)`, without the interval where there is none."""
        return f"{self.value:.3f} ({self.low:.3f}–{self.high:.3f})" if self.low == self.low else f"{self.value:.3f}"


class BootstrapParams(Block):
    """Number of resamples, and the seed that draws them."""

    rounds: int = Field(ge=100)
    seed: int


class ResamplingUnits(NamedTuple):
    """The units that are resampled: class numbers (N,), the group of each row (N,) and the stratum of each row (N,)."""

    truth: Ints
    groups: Sequence[str]
    strata: Sequence[str]


class Replicates(NamedTuple):
    """Metrics on the rows as they are (R = 1), and on R resamples of them."""

    estimate: Metrics
    resamples: Metrics


def bootstrap_metrics(
    units: ResamplingUnits,
    prediction_sets: Sequence[PredictionSet],
    classes: Sequence[str],
    params: BootstrapParams,
    differences: Sequence[tuple[int, int]] = (),
    operating_point: float | None = None,
) -> pd.DataFrame:
    """Compute metrics of sets of predictions for the same rows, all on the same resamples.

    Args:
        units: class, group and stratum of each row.
        prediction_sets: sets without rows are left out.
        classes: names of the K classes.
        params: number of resamples and seed.
        differences: pairs of indices into `prediction_sets`; of each the first minus the second is computed as well,
            unless their rows are of different classes.
        operating_point: decision threshold on the probability of the first class (binary tasks only).

    Returns:
        One row per metric, with the columns `COLUMNS`. `reference` and `reference_subset` are '' except for
        differences, where one or both name what was subtracted. `class` is '' for all classes together. `n` is the
        number of rows that the metric is about, by class those of the class. `low` and `high` are the ends of the 95 %
        interval, see `estimates`.
    """
    non_empty = {index: predictions for index, predictions in enumerate(prediction_sets) if predictions.mask.any()}
    sets = list(non_empty.values())
    replicates = dict(zip(non_empty, _replicate(units, sets, params, operating_point), strict=True))
    tables = []
    for index, prediction_set in non_empty.items():
        rows = _subset_rows(prediction_set, units, params, operating_point)
        tables.append(_label(tabulate_metrics(rows, *replicates[index], classes), prediction_set))
    for first, second in differences:
        if first in non_empty and second in non_empty:
            minuend, subtrahend = non_empty[first], non_empty[second]
            if set(units.truth[minuend.mask]) != set(units.truth[subtrahend.mask]):
                continue
            difference = _subtract(replicates[first], replicates[second])
            num_groups = len(set(np.asarray(units.groups)[subtrahend.mask]))
            table = tabulate_differences(*difference, units.truth[subtrahend.mask], num_groups, classes)
            tables.append(_label(table, minuend, subtrahend))
    columns = list(COLUMNS)
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def _subset_rows(
    predictions: PredictionSet, units: ResamplingUnits, params: BootstrapParams, operating_point: float | None
) -> SubsetRows:
    """Select the rows of a set."""
    mask = predictions.mask
    return SubsetRows(
        truth=units.truth[mask],
        probabilities=predictions.probabilities[mask],
        groups=np.unique(np.asarray(units.groups)[mask], return_inverse=True)[1],
        means={name: values[mask] for name, values in predictions.means.items()},
        operating_point=operating_point,
        rounds=params.rounds,
        seed=params.seed,
    )


def bootstrap_means(
    units: ResamplingUnits, values: Mapping[str, Floats], params: BootstrapParams, proportions: Collection[str] = ()
) -> dict[str, tuple[float, float, float]]:
    """Compute means of values with 95 % intervals, leaving out NaN.

    Args:
        units: class, group and stratum of each row.
        values: (N,) values by metric name.
        proportions: names of the metrics whose values are 0 or 1 by definition, but for ties.
        params: number of resamples and seed.

    Returns:
        By metric name the mean and the ends of its interval; NaN where all values are NaN.
    """
    table = np.stack(list(values.values()), 1)
    defined = np.isfinite(table).astype(float)
    filled = np.where(defined > 0, table, 0.0)
    resamples = np.concatenate(
        [
            safe_divide(weights @ filled, weights @ defined)
            for chunk in range(_num_chunks(params))
            for weights in [resample(units, chunk, params)]
        ]
    )
    means = safe_divide(filled.sum(0), defined.sum(0))
    codes = np.unique(np.asarray(units.groups), return_inverse=True)[1]
    result = {}
    for k, name in enumerate(values):
        rows, mean = defined[:, k] > 0, float(means[k])
        if rows.any() and name in proportions and np.isin(filled[rows, k], (0, 1)).all():
            interval = proportion_interval(filled[rows, k] > 0, codes[rows])
        else:
            interval = bootstrap_interval(resamples[:, k], len(np.unique(codes[rows])))
        _, _, *estimate = interval_line(name, int(rows.sum()), mean, interval)
        result[name] = (estimate[0], estimate[1], estimate[2])
    return result


def resample(units: ResamplingUnits, chunk: int, params: BootstrapParams) -> Floats:
    """Draw whole groups with replacement, within the stratum of their first row.

    Returns:
        Weights (R, N) of the rows, R ≤ `CHUNK_ROUNDS`: how often each row was drawn.
    """
    names, member = np.unique(np.asarray(units.groups), return_inverse=True)
    strata = np.unique(np.asarray(units.strata), return_inverse=True)[1]
    stratum_of_group = np.zeros(len(names), np.int64)
    stratum_of_group[member[::-1]] = strata[::-1]
    random = np.random.default_rng([params.seed, chunk])  # one per chunk, so that chunks may be drawn in any order
    rounds = min(CHUNK_ROUNDS, params.rounds - chunk * CHUNK_ROUNDS)
    counts = np.zeros((rounds, len(names)))
    for stratum in np.unique(stratum_of_group):
        groups = np.flatnonzero(stratum_of_group == stratum)
        samples = groups[random.integers(len(groups), size=(rounds, len(groups)))]
        np.add.at(counts, (np.arange(rounds)[:, None], samples), 1.0)
    weights: Floats = counts[:, member]
    return weights


def _num_chunks(params: BootstrapParams) -> int:
    return -(-params.rounds // CHUNK_ROUNDS)


def _replicate(
    units: ResamplingUnits, sets: Sequence[PredictionSet], params: BootstrapParams, operating_point: float | None
) -> list[Replicates]:
    """Compute the metrics of each set, each with at least one row, on its rows and on all resamples."""
    if not sets:
        return []
    compute = functools.partial(
        _resampled_metrics, units=units, sets=sets, params=params, operating_point=operating_point
    )
    chunks = ordered_map(compute, range(_num_chunks(params)), "bootstrap", "chunk")
    return [
        Replicates(
            _weighted_metrics(predictions, units, np.ones((1, predictions.mask.sum())), operating_point),
            _concatenate(parts),
        )
        for predictions, parts in zip(sets, zip(*chunks, strict=True), strict=True)
    ]


def _resampled_metrics(
    chunk: int,
    units: ResamplingUnits,
    sets: Sequence[PredictionSet],
    params: BootstrapParams,
    operating_point: float | None,
) -> list[Metrics]:
    """Compute the metrics of each set on one chunk of resamples."""
    weights = resample(units, chunk, params)
    result = []
    for prediction_set in sets:
        subset_weights = weights[:, prediction_set.mask]
        sampled = subset_weights.any(1)  # a small subset may be missing from a resample
        subset_weights[~sampled] = 1.0
        metrics = _weighted_metrics(prediction_set, units, subset_weights, operating_point)
        for part in metrics:
            for values in part.values():
                values[~sampled] = np.nan
        result.append(metrics)
    return result


def _weighted_metrics(
    predictions: PredictionSet, units: ResamplingUnits, weights: Floats, operating_point: float | None
) -> Metrics:
    """Compute the metrics of a set under weights (R, rows of the set), with those of `means`."""
    truth = units.truth[predictions.mask]
    metrics = classification_metrics(truth, predictions.probabilities[predictions.mask], weights, operating_point)
    in_class = np.eye(predictions.probabilities.shape[1])[truth]
    for name, values in predictions.means.items():
        weighted = weights * values[predictions.mask]
        metrics.overall[name] = weighted.sum(1) / weights.sum(1)
        metrics.by_class[name] = safe_divide(weighted @ in_class, weights @ in_class)
    return metrics


def _concatenate(chunks: Sequence[Metrics]) -> Metrics:
    """Join the resamples of several chunks."""
    overall = {name: np.concatenate([chunk.overall[name] for chunk in chunks]) for name in chunks[0].overall}
    by_class = {name: np.concatenate([chunk.by_class[name] for chunk in chunks]) for name in chunks[0].by_class}
    return Metrics(overall, by_class)


def _subtract(first: Replicates, second: Replicates) -> Replicates:
    """Subtract metrics that both have, resample by resample."""
    estimate, resamples = (
        Metrics(
            {
                name: minuend.overall[name] - subtrahend.overall[name]
                for name in minuend.overall
                if name in subtrahend.overall
            },
            {
                name: minuend.by_class[name] - subtrahend.by_class[name]
                for name in minuend.by_class
                if name in subtrahend.by_class
            },
        )
        for minuend, subtrahend in zip(first, second, strict=True)
    )
    return Replicates(estimate, resamples)


def _label(table: pd.DataFrame, prediction_set: PredictionSet, reference: PredictionSet | None = None) -> pd.DataFrame:
    """Add the key columns: those of a set, or of the difference of two, where `reference` names what differs."""
    return table.assign(
        model=prediction_set.model,
        reference="" if reference is None or reference.model == prediction_set.model else reference.model,
        subset=prediction_set.subset,
        reference_subset="" if reference is None or reference.subset == prediction_set.subset else reference.subset,
        attribute=prediction_set.attribute,
        attribute_value=prediction_set.attribute_value,
    )
