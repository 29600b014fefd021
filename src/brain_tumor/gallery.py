"""Which of the audit's links people are shown."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from brain_tumor.audit import SAME_PICTURE

TITLES = {
    "exact": "same bytes",
    "pixels": "same pixels",
    "near": "near copy",
    "mirrored": "mirrored copy",
    "rotated": "rotated copy",
    "adjacent": "adjacent slices",
}


class Example(NamedTuple):
    """Two paths and what links them."""

    first: str
    second: str
    caption: str


def choose_examples(table: pd.DataFrame, links: pd.DataFrame, most: int) -> list[list[Example]]:
    """Choose up to `most` links of each kind, from the audit's table and links; kinds without any are left out.

    Labels in conflict come first. Within a kind the links stand at even steps from the strongest to the
    weakest, test against training first. The last three rows show what the thresholds decide: the weakest
    copies and adjacent slices that were accepted, and the strongest pairs that were refused.
    """
    of = table.set_index("path")
    labels, splits = ([links[side].map(of[column]) for side in ("first", "second")] for column in ("label", "split"))
    links = links.assign(conflict=labels[0] != labels[1], across=splits[0] != splits[1])
    links = links.sort_values(["correlation", "first", "second"], ascending=[False, True, True], kind="stable")
    # Unreadable files may be byte-identical, but there is nothing to show.
    links = links[links["first"].map(of["pixels"]) != ""]
    copies = links[links["kind"].isin(SAME_PICTURE)]
    compared = copies[~copies["kind"].isin(("exact", "pixels"))]
    rows = [("other label on a copy", copies[copies["conflict"]].head(most))]
    rows += [(title, _spread(links[links["kind"] == kind], most)) for kind, title in TITLES.items()]
    rows.append(("weakest copies accepted", compared.tail(most)))
    rows.append(("weakest adjacent slices accepted", links[links["kind"] == "adjacent"].tail(most)))
    rows.append(("strongest pairs refused", links[links["kind"] == "refused"].head(most)))
    return [_examples(title, chosen) for title, chosen in rows if len(chosen)]


def _spread(links: pd.DataFrame, most: int) -> pd.DataFrame:
    across = links[links["across"]]
    links = across if len(across) >= most else links
    return links.iloc[np.unique(np.linspace(0, len(links) - 1, min(most, len(links))).round().astype(int))]


def _examples(title: str, links: pd.DataFrame) -> list[Example]:
    columns = zip(links["first"], links["second"], links["transform"], links["correlation"], strict=True)
    found = []
    for first, second, transform, correlation in columns:
        turned = "" if transform == "none" else f", {transform}"
        evidence = f", r = {correlation:.3f}" if correlation < 1 else ""
        found.append(Example(str(first), str(second), f"{title}{turned}{evidence}"))
    return found
