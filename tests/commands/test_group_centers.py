"""Centers of groups."""

from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain_tumor.audit.groups import GROUPING_KINDS, assign_groups
from brain_tumor.commands.group_centers import add_centers

COLUMNS = ["first", "second", "kind", "transform", "distance", "correlation"]


def make(count: int, pairs: list[tuple[int, int, str, float]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make a table of images `00`, `01`, …, in groups by their links, and the links."""
    names = [f"{number:02d}" for number in range(count)]
    table = pd.DataFrame({"path": names, "sha256": [name * 32 for name in names], "label": "a", "problem": ""})
    rows = [(one, other, kind, "none", 0.1, value) for one, other, kind, value in pairs]
    links = pd.DataFrame(rows, columns=COLUMNS)
    table = table.join(assign_groups(table, links))
    for side in ("first", "second"):
        links[side] = [names[number] for number in links[side]]
    return table, links


def test_add_centers_chain_says_through_whom() -> None:
    table, links = make(
        6, [(0, 1, "adjacent", 0.95), (1, 2, "near", 0.98), (2, 3, "adjacent", 0.93), (4, 5, "rejected", 0.9)]
    )
    result = add_centers(table, links).set_index("path")
    assert result["center"].tolist() == ["01"] * 4 + ["", ""]
    assert result["center_kind"].tolist() == ["adjacent", "", "near", "adjacent", "", ""]
    assert result["center_through"].tolist() == ["", "", "", "02", "", ""]
    assert result.at["03", "center_correlation"] == pytest.approx(0.93)
    assert result["center_correlation"].isna().tolist() == [False, True, False, False, True, True]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 11), st.integers(0, 11), st.sampled_from([*GROUPING_KINDS, "rejected"]), st.floats(0.8, 1)
        ).filter(lambda pair: pair[0] < pair[1]),
        max_size=20,
    )
)
def test_add_centers_each_member_of_a_group_is_tied_to_its_center(pairs: list[tuple[int, int, str, float]]) -> None:
    table, links = make(12, pairs)
    result = add_centers(table, links)
    assert result[list(table)].equals(table)
    for _, rows in result.groupby("group"):
        if len(rows) == 1:
            assert rows["center"].item() == ""
            continue
        (center,) = set(rows["center"])
        assert center in set(rows["path"])
        others = rows[rows["path"] != center]
        assert (others["center_kind"] != "").all()
        assert rows.loc[rows["path"] == center, "center_kind"].item() == ""
        linked = {frozenset(pair) for pair in links.loc[links["kind"] != "rejected", ["first", "second"]].to_numpy()}
        for path, through, kind in others[["path", "center_through", "center_kind"]].itertuples(index=False):
            if kind not in ("patient", "series"):  # those in between are left out
                way = [path, *filter(None, through.split(" → ")), center]
                assert all(frozenset(pair) in linked for pair in pairwise(way))
