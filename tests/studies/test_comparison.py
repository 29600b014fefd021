"""Comparison of two recipes on the folds of a cross-validation."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from brain_tumor.studies.comparison import COLUMNS, compare_runs, have_same_images


def make_runs(num_errors: int) -> dict[tuple[int, int], pd.DataFrame]:
    """Two folds of ten images, two per group, the first `num_errors` of each fold predicted wrongly."""
    runs = {}
    for fold in (0, 1):
        numbers = np.arange(10) + 10 * fold
        p = np.where(np.arange(10) < num_errors, 0.1, 0.9)
        columns = {"path": [f"{n:02d}.png" for n in numbers], "group": [f"g{n // 2}" for n in numbers], "label": "a"}
        runs[0, fold] = pd.DataFrame({**columns, "num_train": 40, "p_a": p, "p_b": 1 - p})
    return runs


def test_compare_runs_mcnemar_counts_one_image_per_group() -> None:
    comparison = compare_runs(make_runs(2), make_runs(6), repeat=0)
    assert list(comparison) == list(COLUMNS)
    assert comparison["difference"] == pytest.approx(0.4)
    assert (comparison["folds"], comparison["n_mcnemar"]) == (2, 10)
    assert comparison["p_mcnemar"] == pytest.approx(stats.binomtest(4, 4).pvalue)


def test_have_same_images_other_fold_is_not_the_same() -> None:
    runs = make_runs(2)
    assert have_same_images(runs, make_runs(6))
    assert not have_same_images(runs, {(0, 0): runs[0, 1], (0, 1): runs[0, 0]})
