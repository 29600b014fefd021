"""Duplicate classes and groups that follow from links."""

import pandas as pd

from brain_tumor.audit.groups import assign_groups, link_equal_rows, link_near_duplicates


def make_table(contents: str, **columns: list[str]) -> pd.DataFrame:
    """Make a table with one row per letter of `contents`, whose SHA-256 is 64 times that letter."""
    table = pd.DataFrame({"sha256": [64 * letter for letter in contents], "label": "x", "problem": ""})
    return table.assign(**columns)


def make_links(*links: tuple[int, int, str, str]) -> pd.DataFrame:
    return pd.DataFrame(links, columns=["first", "second", "kind", "transform"])


def test_assign_groups_chain_of_duplicates_is_one_class() -> None:
    # Row 2 is a rotated copy of row 1, which is a rotated copy of row 0.
    links = make_links((0, 1, "rotated", "rotate-90"), (1, 2, "rotated", "rotate-90"))
    result = assign_groups(make_table("abcd"), links)
    # Named by twelve digits of the smallest hash in the class.
    assert result["duplicate_id"].tolist() == ["c" + 12 * "a"] * 3 + ["c" + 12 * "d"]
    assert result["group"].tolist() == ["g" + 12 * "a"] * 3 + ["g" + 12 * "d"]
    assert result["orientation"].tolist() == ["none", "rotate-90", "rotate-180", "none"]
    assert result["kind"].tolist() == ["rotated"] * 3 + [""]


def test_assign_groups_names_do_not_depend_on_link_direction() -> None:
    result = assign_groups(make_table("abc"), make_links((2, 1, "near", "none")))
    assert result["duplicate_id"].tolist() == ["c" + 12 * "a", "c" + 12 * "b", "c" + 12 * "b"]


def test_assign_groups_patient_and_adjacent_join_only_groups() -> None:
    links = make_links((0, 1, "patient", "none"), (1, 2, "adjacent", "none"), (2, 3, "near", "none"))
    result = assign_groups(make_table("abcd"), links)
    assert result["duplicate_id"].tolist() == ["c" + 12 * letter for letter in "abcc"]
    assert result["group"].nunique() == 1
    # The strongest kind of each row's own links.
    assert result["kind"].tolist() == ["patient", "patient", "near", "near"]


def test_assign_groups_rejected_links_join_nothing() -> None:
    result = assign_groups(make_table("ab"), make_links((0, 1, "rejected", "none")))
    assert result["group"].nunique() == result["duplicate_id"].nunique() == 2
    assert result["kind"].tolist() == ["", ""]


def test_assign_groups_unusable_files_are_joined_by_patient_only() -> None:
    table = make_table("aab", problem=["blank", "blank", ""])
    result = assign_groups(table, make_links((0, 1, "exact", "none"), (1, 2, "patient", "none")))
    assert result["duplicate_id"].tolist() == ["c" + 12 * "a", "c" + 12 * "a" + "-1", "c" + 12 * "b"]
    assert result["group"].tolist() == ["g" + 12 * "a", "g" + 12 * "a" + "-1", "g" + 12 * "a" + "-1"]


def test_assign_groups_conflict_needs_two_labels() -> None:
    table = make_table("abcdef", label=["x", "y", "x", "", "x", "x"])
    pairs = [(0, 1), (2, 3), (4, 5)]
    result = assign_groups(table, make_links(*((*pair, "near", "none") for pair in pairs)))
    assert result["conflict"].tolist() == [True, True, False, False, False, False]


def test_link_equal_rows_links_each_row_to_the_previous_one() -> None:
    table = make_table("aabc", pixels=["p", "p", "p", ""], patient=["", "1", "", "1"], series=["s", "", "", "s"])
    links = link_equal_rows(table)
    rows = links[["first", "second", "kind"]].to_numpy().tolist()
    # Equal bytes are not listed as equal pixels a second time; an empty cell equals nothing.
    assert rows == [[0, 1, "exact"], [0, 2, "pixels"], [1, 3, "patient"], [0, 3, "series"]]
    assert set(links["transform"]) == {"none"}
    assert links["correlation"].isna().tolist() == [False, False, True, True]


def test_link_near_duplicates_kind_follows_from_the_transform() -> None:
    transforms = ["none", "rotate-180", "left-right", "diagonal", "none"]
    near = pd.DataFrame({"kind": ["duplicate"] * 4 + ["adjacent"], "transform": transforms})
    assert link_near_duplicates(near)["kind"].tolist() == ["near", "rotated", "mirrored", "mirrored", "adjacent"]
