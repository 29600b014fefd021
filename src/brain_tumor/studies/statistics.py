"""Statistics of repeated trainings: cross-validation, seeds, and paired comparisons of two recipes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from brain_tumor.core.errors import UserError
from brain_tumor.core.tables import class_indices, probability_columns, read_table
from brain_tumor.core.types import Floats, Ints, Masks
from brain_tumor.metrics.classification import classification_metrics

HEADLINE_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "auroc", "ece")


def read_predictions(folder: Path, names: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Read the tables of predictions in a folder, which must hold no others.

    Args:
        folder: folder of CSV tables.
        names: names of the tables, without .csv.

    Returns:
        By name: row, path, label, group, leak, num_train, and p_<class> of each class.

    Raises:
        UserError: the folder holds tables of folds or seeds that params.yaml does not name.
    """
    if unexpected := sorted({path.stem for path in folder.glob("*.csv")} - set(names)):
        raise UserError(f"{folder} holds {', '.join(unexpected)}, which params.yaml does not name: remove them")
    return {name: read_table(folder / f"{name}.csv", text=("path", "label", "group", "leak")) for name in names}


def read_fold_predictions(
    folder: Path, repeats: Sequence[int], folds: Sequence[int]
) -> dict[tuple[int, int], pd.DataFrame]:
    """Read the predictions of a cross-validation, by repeat and fold; errors as in `read_predictions`."""
    tables = read_predictions(folder, [str(repeat) for repeat in repeats])
    return {
        (repeat, fold): tables[str(repeat)][tables[str(repeat)]["fold"] == fold].reset_index(drop=True)
        for repeat in repeats
        for fold in folds
    }


def prediction_arrays(table: pd.DataFrame, classes: Sequence[str]) -> tuple[Ints, Floats]:
    """Return class numbers (N,) and probabilities (N, K) of a table of predictions."""
    return class_indices(table["label"], classes), table[probability_columns(classes)].to_numpy(float)


def class_names(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the classes of a table of predictions."""
    return tuple(str(column).removeprefix("p_") for column in table if str(column).startswith("p_"))


def metrics_of_predictions(table: pd.DataFrame, classes: Sequence[str]) -> dict[str, float]:
    """Compute `HEADLINE_METRICS` of a table of predictions."""
    truth, probabilities = prediction_arrays(table, classes)
    metrics = classification_metrics(truth, probabilities, np.ones((1, len(truth)))).overall
    return {name: float(metrics[name][0]) for name in HEADLINE_METRICS}


def aggregate_folds(runs: pd.DataFrame) -> dict[str, Any]:
    """Compute mean, standard deviation and 95 % interval over the folds of (repeated) cross-validation.

    Training sets overlap, so that folds are not independent: the interval is that of the corrected resampled t
    (Nadeau and Bengio 2003), whose variance is increased by the ratio of test to training rows.

    Args:
        runs: one row per fold: `HEADLINE_METRICS`, n (test rows) and num_train (training rows).

    Returns:
        By metric name the mean, and with _low, _high and _sd appended the interval and the standard deviation.
    """
    result: dict[str, Any] = {}
    for name in HEADLINE_METRICS:
        values = runs[name].to_numpy(float)
        low, high = corrected_interval(values, float((runs["n"] / runs["num_train"]).mean()))
        low, high = max(low, -1.0 if name == "mcc" else 0.0), min(high, 1.0)
        result |= {name: values.mean(), f"{name}_low": low, f"{name}_high": high, f"{name}_sd": values.std(ddof=1)}
    return result


def corrected_interval(values: Floats, ratio: float) -> tuple[float, float]:
    """Return the 95 % interval of the mean of (folds,) values; `ratio` is that of test rows to training rows."""
    half = stats.t.ppf(0.975, len(values) - 1) * _standard_error(values, ratio)
    return float(values.mean() - half), float(values.mean() + half)


def corrected_t_test(differences: Floats, ratio: float) -> float:
    """Return the two-sided p of the hypothesis that two recipes are equal.

    Args:
        differences: (folds,) of a metric on the same folds.
        ratio: test rows to training rows.
    """
    standard_error = _standard_error(differences, ratio)
    if standard_error == 0:
        return 1.0 if differences.mean() == 0 else 0.0
    return float(2 * stats.t.sf(abs(differences.mean()) / standard_error, len(differences) - 1))


def mcnemar_test(first: Masks, second: Masks) -> float:
    """Return the two-sided exact p of the hypothesis that two models are equally often correct on (N,) rows."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second).pvalue)


def holm_adjust(p: Sequence[float]) -> list[float]:
    """Return the p values of several hypotheses, adjusted by Holm's method."""
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate([(len(p) - rank) * p[k] for rank, k in enumerate(order)])
    result = np.empty(len(p))
    result[order] = np.minimum(adjusted, 1.0)
    return [float(value) for value in result]


def _standard_error(values: Floats, ratio: float) -> float:
    return float(np.sqrt((1 / len(values) + ratio) * values.var(ddof=1)))
