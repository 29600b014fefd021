"""Selection of cases and rows by rule."""

import pandas as pd
import pytest

from brain_tumor.attribution.cases import ExplainParams, choose_cases, sample_rows, select_test_rows
from brain_tumor.attribution.constants import MIN_IMAGES
from brain_tumor.core.errors import UserError


def test_choose_cases_follows_the_rule() -> None:
    table = pd.DataFrame({"row": range(10), "label": list("aaaaabbbbb"), "predicted": list("aaabbbbaab")})
    table["p_a"] = [0.9, 0.8, 0.7, 0.4, 0.1, 0.2, 0.3, 0.6, 0.95, 0.05]
    table["p_b"] = 1 - table["p_a"]
    params = ExplainParams(methods=("grad-cam",), layer="last", num_cases=1, seed=0)
    cases = choose_cases(table, "ab", params)
    assert cases["kind"].tolist() == ["correct", "incorrect", "uncertain"] * 2
    assert cases["label"].tolist() == list("aaabbb")
    assert cases["row"].tolist()[1::3] == [4, 8], "the most confident incorrect predictions"
    assert cases["row"].tolist()[2::3] == [3, 7], "the least confident of the others, correct or incorrect"
    assert cases["other"].tolist() == ["b", "a", "a", "a", "b", "b"], "true class if incorrect, else second probability"
    assert cases["row"].is_unique
    pd.testing.assert_frame_equal(cases, choose_cases(table, "ab", params))


def test_sample_rows_keeps_order_and_returns_all_of_few() -> None:
    rows = pd.DataFrame({"row": range(9)})
    sample = sample_rows(rows, 4, 3)["row"].tolist()
    assert len(sample) == 4
    assert sample == sorted(sample) == sample_rows(rows, 4, 3)["row"].tolist()
    assert sample_rows(rows, 20, 3)["row"].tolist() == list(range(9))


@pytest.mark.parametrize(("num_clean", "expected"), [(MIN_IMAGES, MIN_IMAGES), (MIN_IMAGES - 1, MIN_IMAGES + 4)])
def test_select_test_rows_prefers_clean_rows_if_there_are_enough(num_clean: int, expected: int) -> None:
    leaks = [""] * num_clean + ["duplicate"] * (MIN_IMAGES + 4 - num_clean)
    assert len(select_test_rows(pd.DataFrame({"row": range(len(leaks)), "leak": leaks}))) == expected


def test_select_test_rows_without_rows_raises_error() -> None:
    with pytest.raises(UserError, match="no test rows"):
        select_test_rows(pd.DataFrame({"row": [], "leak": []}))
