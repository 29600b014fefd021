"""Selection of links of an audit that a contact sheet shows."""

from typing import NamedTuple

import numpy as np
import pandas as pd

AUDIT_TITLE = "duplicates and adjacent slices found by the audit"
MAX_EXAMPLES = 3  # of each kind
# Titles of the kinds of links, the strongest first.
EQUAL_TITLES = {"exact": "same bytes", "pixels": "same pixels"}
NEAR_TITLES = {"near": "near-duplicate", "mirrored": "mirrored duplicate", "rotated": "rotated duplicate"}
ADJACENT = "adjacent"
TITLES = EQUAL_TITLES | NEAR_TITLES | {ADJACENT: "adjacent slices"}


class LinkExample(NamedTuple):
    """Paths of two linked images, and a caption that names the evidence."""

    first: str
    second: str
    caption: str


def choose_link_examples(
    table: pd.DataFrame, links: pd.DataFrame, max_examples: int = MAX_EXAMPLES
) -> list[list[LinkExample]]:
    """Choose links of each kind; kinds without any are left out.

    Duplicates with different labels come first. Within a kind the links are at even steps from the strongest to the
    weakest, and those between test and training are preferred. The last three rows show the effect of the thresholds:
    the weakest accepted duplicates and adjacent slices, and the strongest rejected pairs.

    Args:
        table: the audit's images, with columns path, label, split and pixels.
        links: the audit's links, `correlation` as numbers.
        max_examples: maximum number of examples of each kind.
    """
    images = table.set_index("path")
    labels, splits = (
        [links[side].map(images[column]) for side in ("first", "second")] for column in ("label", "split")
    )
    links = links.assign(conflict=labels[0] != labels[1], across=splits[0] != splits[1])
    links = links.sort_values(["correlation", "first", "second"], ascending=[False, True, True], kind="stable")
    # Unreadable files may be byte-identical, but there is nothing to show.
    links = links[links["first"].map(images["pixels"]) != ""]
    near, adjacent = links["kind"].isin(NEAR_TITLES), links["kind"] == ADJACENT
    duplicates = links[near | links["kind"].isin(EQUAL_TITLES)]
    rows = [("duplicate with another label", duplicates[duplicates["conflict"]].head(max_examples))]
    rows += [(title, _spread(links[links["kind"] == kind], max_examples)) for kind, title in TITLES.items()]
    rows.append(("weakest accepted duplicates", links[near].tail(max_examples)))
    rows.append(("weakest accepted adjacent slices", links[adjacent].tail(max_examples)))
    rows.append(("strongest rejected pairs", links[links["kind"] == "rejected"].head(max_examples)))
    return [_add_captions(title, selected) for title, selected in rows if len(selected)]


def _spread(links: pd.DataFrame, max_examples: int) -> pd.DataFrame:
    """Choose links at even steps; only those between test and training, if there are enough."""
    across = links[links["across"]]
    links = across if len(across) >= max_examples else links
    return links.iloc[np.unique(np.linspace(0, len(links) - 1, min(max_examples, len(links))).round().astype(int))]


def _add_captions(title: str, links: pd.DataFrame) -> list[LinkExample]:
    columns = zip(links["first"], links["second"], links["transform"], links["correlation"], strict=True)
    examples = []
    for first, second, transform, correlation in columns:
        orientation = "" if transform == "none" else f", {transform}"
        evidence = f", r = {correlation:.3f}" if correlation < 1 else ""
        examples.append(LinkExample(str(first), str(second), f"{title}{orientation}{evidence}"))
    return examples
