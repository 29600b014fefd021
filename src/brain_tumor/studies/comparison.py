"""Comparison of two recipes on the same folds of a cross-validation."""

import numpy as np
import pandas as pd

from brain_tumor.core.types import Masks
from brain_tumor.studies.statistics import (
    class_names,
    corrected_interval,
    corrected_t_test,
    mcnemar_test,
    prediction_arrays,
)

COLUMNS = ("folds", "difference", "low", "high", "p_corrected_t", "n_mcnemar", "p_mcnemar")
Runs = dict[tuple[int, int], pd.DataFrame]  # predictions for the test rows, by repeat and fold


def compare_runs(first: Runs, second: Runs, repeat: int) -> dict[str, float]:
    """Compare two recipes on the same folds.

    McNemar's test takes one repeat, which tests each image once, and one image per group: duplicates are not
    independent evidence.

    Args:
        first, second: predictions by repeat and fold.
        repeat: number of the repeat for McNemar's test.

    Returns:
        The values of `COLUMNS`; the difference is first minus second.
    """
    differences, ratios, independent = [], [], []
    for key, table in first.items():
        other = second[key].assign(correct=is_correct(second[key]))[["path", "correct"]]
        pair = table.assign(correct=is_correct(table)).merge(
            other, on="path", validate="1:1", suffixes=("_first", "_second")
        )
        differences.append(pair["correct_first"].mean() - pair["correct_second"].mean())
        ratios.append(len(pair) / int(table["num_train"].iloc[0]))
        if key[0] == repeat:
            independent.append(pair.sort_values("path").drop_duplicates("group"))
    values, ratio = np.array(differences), float(np.mean(ratios))
    low, high = corrected_interval(values, ratio)
    hits = pd.concat(independent)
    return {
        "folds": len(values),
        "difference": values.mean(),
        "low": low,
        "high": high,
        "p_corrected_t": corrected_t_test(values, ratio),
        "n_mcnemar": len(hits),
        "p_mcnemar": mcnemar_test(hits["correct_first"].to_numpy(bool), hits["correct_second"].to_numpy(bool)),
    }


def have_same_images(first: Runs, second: Runs) -> bool:
    """Return whether two recipes were tested on the same images in each fold."""
    return all(set(first[key]["path"]) == set(second[key]["path"]) for key in first)


def is_correct(table: pd.DataFrame) -> Masks:
    """Return (N,) whether the most probable class is the true one."""
    truth, probabilities = prediction_arrays(table, class_names(table))
    return np.asarray(probabilities.argmax(1) == truth)
