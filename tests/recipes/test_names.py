"""Names of classes: which can be used, and why others cannot."""

import csv
import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain_tumor.core.tables import read_table
from brain_tumor.recipes.names import describe_unknown, find_class_problems, nearest


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("a ", "blanks at its ends"),
        ("\ta", "blanks at its ends"),
        ("a\u00a0", "blanks at its ends"),
        ("a\nb", "line break"),
        ("a\rb", "line break"),
        ("a\tb", "control character"),
        ("a\u2028b", "line break"),
        ("a\x00b", "control character"),
        ("_a", "starts with _"),
        ("a/b", "contains /"),
        ("a\\b", "contains \\"),
        ("a;b", "contains ;"),
        ("$a", "contains $"),
        ("gliome\u0301", "NFC"),
    ],
)
def test_find_class_problems_unusable_class_has_one_reason(label: str, reason: str) -> None:
    (problem,) = find_class_problems(["x", label])
    assert problem.startswith(repr(label))
    assert reason in problem


@pytest.mark.parametrize(
    "label", ["no tumor", "grade.2", "a,b", "a'b\"", "a|b", "100%", "gliomé", "膠芽腫", "a_b", "=1", "no"]
)
def test_find_class_problems_usable_class_has_none(label: str) -> None:
    assert list(find_class_problems(["x", label])) == []


@pytest.mark.parametrize(
    ("classes", "problems"),
    [
        ([], ["two or more classes are needed (got [])"]),
        (["a"], ["two or more classes are needed (got ['a'])"]),
        (["a", "b", "a"], ["'a' is listed 2 times: list each class once"]),
        (["a", "b"], []),
    ],
)
def test_find_class_problems_number_of_classes(classes: list[str], problems: list[str]) -> None:
    assert list(find_class_problems(classes)) == problems


@given(st.text(min_size=1, max_size=8))
def test_find_class_problems_usable_class_comes_back_from_tables(label: str) -> None:
    if list(find_class_problems(["x y", label])):
        return
    text = pd.DataFrame({"class": [label], f"p_{label}": ["1"]}).to_csv(index=False, lineterminator="\n")
    assert read_table(io.BytesIO(text.encode()))["class"].tolist() == [label]
    # As `reporting.results.read_rows` reads tables.
    assert list(csv.DictReader(text.splitlines())) == [{"class": label, f"p_{label}": "1"}]
    assert "; ".join([label, "x"]).split("; ") == [label, "x"]


def test_describe_unknown_similar_name_is_suggested() -> None:
    assert describe_unknown("recipe", "Edg", ["edge", "probe"]) == (
        "there is no recipe 'Edg' (recipes: edge, probe): did you mean 'edge'?"
    )
    assert describe_unknown("recipe", "xyz", []) == "there is no recipe 'xyz' (recipes: none)"
    assert nearest("xyz", ["edge"]) == ""
