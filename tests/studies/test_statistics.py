"""Statistics over repeated trainings, against SciPy and by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from brain_tumor.core.errors import UserError
from brain_tumor.studies.statistics import (
    HEADLINE_METRICS,
    aggregate_folds,
    corrected_interval,
    corrected_t_test,
    holm_adjust,
    mcnemar_test,
    metrics_of_predictions,
    read_predictions,
)


def test_corrected_interval_without_overlap_is_that_of_the_t_test() -> None:
    values = np.array([0.8, 0.9, 0.85, 0.95, 0.7])
    expected = stats.ttest_1samp(values, 0.8)
    low, high = corrected_interval(values, 0.0)
    interval = expected.confidence_interval()
    assert (low, high) == pytest.approx((interval.low, interval.high))
    assert corrected_t_test(values - 0.8, 0.0) == pytest.approx(expected.pvalue)


def test_corrected_interval_widens_by_test_to_training_ratio() -> None:
    values = np.array([0.8, 0.9, 0.85, 0.95, 0.7])
    plain, wide = (np.diff(corrected_interval(values, ratio))[0] for ratio in (0.0, 0.25))
    assert wide / plain == pytest.approx(np.sqrt((1 / 5 + 1 / 4) / (1 / 5)))
    assert corrected_t_test(values - 0.7, 0.25) > corrected_t_test(values - 0.7, 0.0)


def test_corrected_t_test_equal_differences_give_p_of_zero_or_one() -> None:
    assert corrected_t_test(np.zeros(5), 0.25) == 1.0
    assert corrected_t_test(np.full(5, 0.1), 0.25) == 0.0


def test_mcnemar_test_counts_only_rows_where_the_models_differ() -> None:
    first, second = np.array([True] * 9 + [False] * 31), np.array([False] * 8 + [True] * 2 + [False] * 30)
    assert mcnemar_test(first, second) == pytest.approx(stats.binomtest(8, 9).pvalue)
    assert mcnemar_test(first, first) == 1.0


def test_holm_adjust_by_hand() -> None:
    assert holm_adjust([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm_adjust([0.9, 0.8]) == [1.0, 1.0]
    assert holm_adjust([]) == []


def test_aggregate_folds_has_mean_interval_and_standard_deviation() -> None:
    random = np.random.default_rng(0)
    lines = []
    for _ in range(4):
        truth = random.integers(0, 2, 20)
        p = random.random(20)
        table = pd.DataFrame({"label": np.where(truth == 0, "a", "b"), "p_a": p, "p_b": 1 - p})
        lines.append({"n": 20, "num_train": 60} | metrics_of_predictions(table, ("a", "b")))
        assert lines[-1]["accuracy"] == pytest.approx(((p < 0.5) == truth).mean())
    summary = aggregate_folds(pd.DataFrame(lines))
    for name in HEADLINE_METRICS:
        assert summary[f"{name}_low"] < summary[name] < summary[f"{name}_high"]
    assert summary["accuracy_sd"] == pytest.approx(np.std([line["accuracy"] for line in lines], ddof=1))


def test_read_predictions_files_that_params_do_not_name_are_an_error(tmp_path: Path) -> None:
    for name in ("0-0", "0-1"):
        (tmp_path / f"{name}.csv").write_text("path,label\na.png,NA\n")
    assert read_predictions(tmp_path, ["0-0", "0-1"])["0-0"]["label"].tolist() == ["NA"]
    with pytest.raises(UserError, match=r"holds 0-1, which params\.yaml does not name"):
        read_predictions(tmp_path, ["0-0"])
