"""What repeated trainings tell: cross-validation, seeds, and paired comparisons of two recipes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from brain_tumor.errors import UserError
from brain_tumor.metrics import Floats, Ints, figures

SHOWN = ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "auroc", "ece")


def predictions(folder: Path, names: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Read the tables of predictions in a folder: those named, and there must be no other.

    Raises:
        UserError: files of other folds or seeds, which an earlier params.yaml left.
    """
    if left := sorted({path.stem for path in folder.glob("*.csv")} - set(names)):
        raise UserError(f"{folder} holds {', '.join(left)}, which params.yaml does not name any more: remove them")
    text = {"path": str, "label": str, "group": str, "leak": str}
    return {name: pd.read_csv(folder / f"{name}.csv", dtype=text, keep_default_na=False) for name in names}


def arrays(table: pd.DataFrame, classes: Sequence[str]) -> tuple[Ints, Floats]:
    """Class numbers (N,) and probabilities (N, K) of a table of predictions: label, and p_<class> of each class."""
    truth = np.array([classes.index(label) for label in table["label"]], np.int64)
    return truth, table[[f"p_{label}" for label in classes]].to_numpy(float)


def classes_of(table: pd.DataFrame) -> tuple[str, ...]:
    """The classes that a table of predictions has probabilities of."""
    return tuple(str(column).removeprefix("p_") for column in table if str(column).startswith("p_"))


def figures_of(table: pd.DataFrame, classes: Sequence[str]) -> dict[str, float]:
    """The figures in SHOWN of one table of predictions."""
    truth, probabilities = arrays(table, classes)
    found = figures(truth, probabilities, np.ones((1, len(truth)))).overall
    return {name: float(found[name][0]) for name in SHOWN}


def over_folds(runs: pd.DataFrame) -> dict[str, Any]:
    """Mean, standard deviation and 95 % interval over the folds of (repeated) cross-validation.

    Training sets overlap, so that folds are not independent: the interval is that of the corrected resampled t
    (Nadeau and Bengio 2003), whose variance is widened by the ratio of test to training rows.

    Args:
        runs: one row a fold: the figures in SHOWN, n (test rows) and trained (rows trained on).
    """
    found: dict[str, Any] = {}
    for name in SHOWN:
        values = runs[name].to_numpy(float)
        low, high = corrected_interval(values, float((runs["n"] / runs["trained"]).mean()))
        low, high = max(low, -1.0 if name == "mcc" else 0.0), min(high, 1.0)
        found |= {name: values.mean(), f"{name}_low": low, f"{name}_high": high, f"{name}_sd": values.std(ddof=1)}
    return found


def corrected_interval(values: Floats, ratio: float) -> tuple[float, float]:
    """95 % interval of a mean over folds; `ratio` is test rows to training rows."""
    half = stats.t.ppf(0.975, len(values) - 1) * _spread(values, ratio)
    return float(values.mean() - half), float(values.mean() + half)


def corrected_t_test(differences: Floats, ratio: float) -> float:
    """Two-sided p of the hypothesis that two recipes do equally well, from differences on the same folds."""
    spread = _spread(differences, ratio)
    if spread == 0:
        return 1.0 if differences.mean() == 0 else 0.0
    return float(2 * stats.t.sf(abs(differences.mean()) / spread, len(differences) - 1))


def mcnemar(first: "np.ndarray[Any, np.dtype[np.bool_]]", second: "np.ndarray[Any, np.dtype[np.bool_]]") -> float:
    """Two-sided exact p of the hypothesis that two models are right equally often, on the same (N,) rows."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second).pvalue)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p of several hypotheses."""
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate([(len(p) - rank) * p[k] for rank, k in enumerate(order)])
    result = np.empty(len(p))
    result[order] = np.minimum(adjusted, 1.0)
    return [float(value) for value in result]


def _spread(values: Floats, ratio: float) -> float:
    return float(np.sqrt((1 / len(values) + ratio) * values.var(ddof=1)))
