"""Statistics over repeated trainings, against SciPy and by hand; and common terms of two data sets."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from brain_tumor.errors import UserError
from brain_tumor.external import translate
from brain_tumor.repeats import (
    SHOWN,
    corrected_interval,
    corrected_t_test,
    figures_of,
    holm,
    mcnemar,
    over_folds,
    predictions,
)

MEANS = {"glioma": "tumor", "meningioma": "tumor", "pituitary": "tumor"}


def test_without_overlap_the_corrected_t_is_the_usual_one() -> None:
    values = np.array([0.8, 0.9, 0.85, 0.95, 0.7])
    usual = stats.ttest_1samp(values, 0.8)
    low, high = corrected_interval(values, 0.0)
    interval = usual.confidence_interval()
    assert (low, high) == pytest.approx((interval.low, interval.high))
    assert corrected_t_test(values - 0.8, 0.0) == pytest.approx(usual.pvalue)


def test_overlap_widens_the_interval_as_nadeau_and_bengio_say() -> None:
    values = np.array([0.8, 0.9, 0.85, 0.95, 0.7])
    plain, wide = (np.diff(corrected_interval(values, ratio))[0] for ratio in (0.0, 0.25))
    assert wide / plain == pytest.approx(np.sqrt((1 / 5 + 1 / 4) / (1 / 5)))
    assert corrected_t_test(values - 0.7, 0.25) > corrected_t_test(values - 0.7, 0.0)


def test_equal_folds_have_no_spread() -> None:
    assert corrected_t_test(np.zeros(5), 0.25) == 1.0
    assert corrected_t_test(np.full(5, 0.1), 0.25) == 0.0


def test_mcnemar_counts_only_the_rows_where_the_two_differ() -> None:
    first, second = np.array([True] * 9 + [False] * 31), np.array([False] * 8 + [True] * 2 + [False] * 30)
    assert mcnemar(first, second) == pytest.approx(stats.binomtest(8, 9).pvalue)
    assert mcnemar(first, first) == 1.0


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_figures_of_folds_are_summed_up() -> None:
    random = np.random.default_rng(0)
    lines = []
    for _ in range(4):
        truth = random.integers(0, 2, 20)
        p = random.random(20)
        table = pd.DataFrame({"label": np.where(truth == 0, "a", "b"), "p_a": p, "p_b": 1 - p})
        lines.append({"n": 20, "trained": 60} | figures_of(table, ("a", "b")))
        assert lines[-1]["accuracy"] == pytest.approx(((p < 0.5) == truth).mean())
    found = over_folds(pd.DataFrame(lines))
    for name in SHOWN:
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]
    assert found["accuracy_sd"] == pytest.approx(np.std([line["accuracy"] for line in lines], ddof=1))


def test_labels_that_the_model_knows_stay_as_they_are() -> None:
    classes = ("glioma", "meningioma", "notumor", "pituitary")
    same = translate(classes, pd.Series(["glioma", "pituitary"]), MEANS)
    assert same is not None
    assert same.classes == classes
    probabilities = np.array([[0.1, 0.2, 0.3, 0.4]])
    np.testing.assert_array_equal(same.join(probabilities), probabilities)


def test_finer_classes_are_added_up_to_the_coarser_ones() -> None:
    fine = ("glioma", "meningioma", "notumor", "pituitary")
    found = translate(fine, pd.Series(["tumor", "notumor"]), MEANS)
    assert found is not None
    assert found.classes == ("tumor", "notumor")
    np.testing.assert_allclose(found.join(np.array([[0.1, 0.2, 0.3, 0.4]])), [[0.7, 0.3]])
    found = translate(("tumor", "notumor"), pd.Series(["glioma", "notumor", "artifact"]), MEANS)
    assert found is not None
    assert found.labels.tolist()[:2] == ["tumor", "notumor"]
    assert found.labels.isna().tolist() == [False, False, True], "what has no counterpart is left out"


def test_nothing_in_common_is_said() -> None:
    assert translate(("cat", "dog"), pd.Series(["glioma"]), MEANS) is None
    assert translate(("tumor", "notumor"), pd.Series(["glioma", "meningioma"]), MEANS) is None


def test_files_of_an_earlier_study_are_not_summed_up(tmp_path: Path) -> None:
    for name in ("0-0", "0-1"):
        (tmp_path / f"{name}.csv").write_text("path,label\na.png,NA\n")
    assert predictions(tmp_path, ["0-0", "0-1"])["0-0"]["label"].tolist() == ["NA"]
    with pytest.raises(UserError, match=r"holds 0-1, which params\.yaml does not name any more"):
        predictions(tmp_path, ["0-0"])
