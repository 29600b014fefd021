"""Tables of predictions, and possible label errors."""

import numpy as np

from brain_tumor.evaluation.predictions import find_label_issues
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


def test_predictions_table_has_subgroup_columns() -> None:
    table = make_predictions(sex=["f", "m"] * 30).table(CLASSES, {"svm": np.eye(3)[np.arange(60) % 3]})
    assert list(table) == ["row", "path", "label", "predicted", "leak", "sex", "p_a", "p_b", "p_c", "svm"]
    assert table["svm"].tolist() == ["a", "b", "c"] * 20
    most_probable = table[["p_a", "p_b", "p_c"]].to_numpy().argmax(1)
    assert table["predicted"].tolist() == [CLASSES[k] for k in most_probable]
