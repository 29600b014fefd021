"""Relations of the images of one set to those of another."""

import itertools

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from brain_tumor.audit.groups import GROUPING_KINDS, IDENTITY_KINDS
from brain_tumor.audit.relations import ARROW, relate_images

NAN = float("nan")
Link = tuple[str, str, str]


def make_table(paths: str, unusable: str = "") -> pd.DataFrame:
    return pd.DataFrame({"path": list(paths), "problem": ["blank" if path in unusable else "" for path in paths]})


def make_links(*links: Link, transform: str = "none") -> pd.DataFrame:
    known = {"transform": transform, "distance": 0.1, "correlation": 0.98}
    unknown = {"transform": "none", "distance": NAN, "correlation": NAN}
    columns = ["first", "second", "kind", "transform", "distance", "correlation"]
    rows = [
        dict(zip(columns, link, strict=False)) | (unknown if link[2] in IDENTITY_KINDS else known) for link in links
    ]
    return pd.DataFrame(rows, columns=columns)


def relate(
    table: pd.DataFrame, links: pd.DataFrame, subjects: str, others: str
) -> dict[str, tuple[str, str, str, float, str]]:
    masks = (np.array([path in side for path in table["path"]]) for side in (subjects, others))
    result = relate_images(table, links, *masks)
    columns = result[["kind", "other", "transform", "correlation", "through"]].itertuples(index=False, name=None)
    return dict(zip(result["path"], columns, strict=True))


def test_relate_images_direct_link_has_its_evidence() -> None:
    found = relate(make_table("abc"), make_links(("a", "b", "mirrored"), transform="left-right"), "b", "ac")
    assert found == {"b": ("mirrored", "a", "left-right", 0.98, "")}


def test_relate_images_the_surest_kind_wins_even_over_further_images() -> None:
    links = make_links(("t", "a", "adjacent"), ("t", "x", "exact"), ("x", "b", "near"))
    assert relate(make_table("tabx"), links, "tx", "ab") == {
        "t": ("near", "b", "", 0.98, "x"),
        "x": ("near", "b", "none", 0.98, ""),
    }


def test_relate_images_images_of_a_patient_in_between_are_not_named() -> None:
    links = make_links(("a", "b", "patient"), ("b", "c", "patient"), ("c", "d", "patient"), ("d", "e", "adjacent"))
    found = relate(make_table("abcde"), links, "bcde", "a")
    assert found["d"][:3] == ("patient", "a", "none")
    assert found["d"][4] == ""
    assert np.isnan(found["d"][3])
    assert found["e"] == ("adjacent", "a", "", 0.98, "d")
    links = make_links(("a", "b", "near"), ("b", "c", "near"), ("c", "d", "near"))
    assert relate(make_table("abcd"), links, "d", "a")["d"][4] == f"c{ARROW}b"


def test_relate_images_unusable_images_are_related_by_their_patient_alone() -> None:
    links = make_links(("a", "t", "exact"), ("a", "u", "exact"), ("a", "u", "series"))
    assert {path: found[0] for path, found in relate(make_table("atu", "tu"), links, "tu", "a").items()} == {
        "u": "series"
    }


def test_relate_images_rejected_links_and_empty_sets_relate_nothing() -> None:
    assert relate(make_table("ab"), make_links(("a", "b", "rejected")), "b", "a") == {}
    assert relate(make_table("ab"), make_links(("a", "b", "exact")), "b", "") == {}
    assert relate(make_table("ab"), make_links(), "b", "a") == {}


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh"), st.sampled_from(GROUPING_KINDS)),
        max_size=12,
    ),
    st.sets(st.sampled_from("abcdefgh")),
    st.sets(st.sampled_from("abcdefgh")),
)
def test_relate_images_any_links_give_the_surest_way(links: list[Link], subjects: set[str], unusable: set[str]) -> None:
    """Compared with all widest paths: the weakest link of the way whose weakest link is surest (Floyd and Warshall)."""
    names = "abcdefgh"
    rank = np.full((8, 8), len(GROUPING_KINDS))
    for one, other, kind in links:
        if kind in IDENTITY_KINDS or not {one, other} & unusable:
            i, j = names.index(one), names.index(other)
            rank[i, j] = rank[j, i] = min(rank[i, j], GROUPING_KINDS.index(kind))
    for k, i, j in itertools.product(range(8), repeat=3):
        rank[i, j] = min(rank[i, j], max(rank[i, k], rank[k, j]))
    others = set(names) - subjects
    expected = {}
    for subject in subjects:
        best = min((int(rank[names.index(subject), names.index(other)]) for other in others), default=8)
        if best < len(GROUPING_KINDS):
            expected[subject] = GROUPING_KINDS[best]
    found = relate(make_table(names, "".join(unusable)), make_links(*links), "".join(subjects), "".join(others))
    assert {path: kind for path, (kind, *_) in found.items()} == expected
    assert {other for _, other, *_ in found.values()} <= others
