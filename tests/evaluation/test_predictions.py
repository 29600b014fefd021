"""Tables and files of predictions, and possible label errors."""

from pathlib import Path

import numpy as np

from brain_tumor.evaluation.predictions import find_label_issues
from brain_tumor.evaluation.probabilities import compared_subsets, load_probabilities, save_probabilities
from predictions import CLASSES, make_predictions


def test_find_label_issues_confident_disagreement_comes_first() -> None:
    test = make_predictions()
    probabilities = test.calibrated.copy()
    probabilities[7] = np.eye(3)[(test.truth[7] + 1) % 3] * 0.97 + 0.01
    table = find_label_issues(test.rows, test.truth, probabilities, CLASSES)
    assert table["row"][0] == 7
    assert table["suggested"][0] == CLASSES[(test.truth[7] + 1) % 3]


def test_find_label_issues_correct_predictions_give_none() -> None:
    test = make_predictions()
    assert find_label_issues(test.rows, test.truth, np.eye(3)[test.truth], CLASSES).empty


def test_save_probabilities_twice_gives_the_same_bytes_and_full_precision(tmp_path: Path) -> None:
    probabilities = make_predictions().probabilities()
    for name in ("first.partial", "second.partial"):  # as atomic_outputs names them
        save_probabilities(tmp_path / name, probabilities)
    assert (tmp_path / "first.partial").read_bytes() == (tmp_path / "second.partial").read_bytes()
    loaded = load_probabilities(tmp_path / "first.partial")
    for name, array in probabilities._asdict().items():
        np.testing.assert_array_equal(getattr(loaded, name), array)
        assert getattr(loaded, name).dtype == (np.int64 if name in ("rows", "truth") else np.float64)


def test_compared_subsets_clean_subset_only_if_it_differs() -> None:
    assert set(compared_subsets(np.array([True, False]))) == {"published", "clean"}
    for clean in (True, False):
        assert set(compared_subsets(np.array([clean, clean]))) == {"published"}


def test_predictions_table_has_subgroup_columns_where_known() -> None:
    table = make_predictions(sex=["f", "m"] * 30).table(CLASSES)
    assert list(table) == ["row", "path", "label", "predicted", "leak", "sex", "p_a", "p_b", "p_c"]
    most_probable = table[["p_a", "p_b", "p_c"]].to_numpy().argmax(1)
    assert table["predicted"].tolist() == [CLASSES[k] for k in most_probable]
