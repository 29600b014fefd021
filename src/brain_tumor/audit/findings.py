"""What an audit found, as one line for people."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from brain_tumor.audit.groups import DUPLICATE_KINDS
from brain_tumor.audit.near_duplicates import find_components

# Kinds of duplicates, one and several.
DUPLICATES = {
    "exact": ("copy", "copies"),
    "pixels": ("with the same pixels",) * 2,
    "near": ("re-encoded, rescaled or otherwise changed",) * 2,
    "mirrored": ("mirrored",) * 2,
    "rotated": ("rotated",) * 2,
}
OTHERS = {
    "other_label": ("under another label",) * 2,
    "leaked_duplicates": ("test image with a duplicate in training", "test images with a duplicate in training"),
    "leaked_related": ("test image with a related one in training", "test images with a related one in training"),
    "adjacent": ("pair of adjacent slices", "pairs of adjacent slices"),
    "unreadable": ("unreadable",) * 2,
    "blank": ("blank",) * 2,
    "quality_warnings": ("not like a slice of a head",) * 2,
    "skipped": ("file left out", "files left out"),
}


def describe_findings(table: pd.DataFrame, links: pd.DataFrame, counts: Mapping[str, Any], skipped: int) -> str:
    """Say in one line what an audit found, such as "3 copies, 1 mirrored, 2 under another label".

    Args:
        table, links: see `audit.audit_images`.
        counts: see `summary.summarize_audit`.
        skipped: number of files that are no images of the data set.
    """
    duplicates = _list_counts(count_duplicates(table, links), DUPLICATES)
    numbers = {
        "other_label": count_other_labels(table),
        "leaked_related": counts.get("leaked_group", 0) - counts.get("leaked_duplicates", 0),
        "adjacent": counts["links"]["adjacent"],
        "skipped": skipped,
    }
    others = _list_counts({**counts, **numbers}, OTHERS)
    none = f"no duplicates among {len(table)} image{'s' if len(table) != 1 else ''}"
    return ", ".join([*(duplicates or [none]), *others])


def count_duplicates(table: pd.DataFrame, links: pd.DataFrame) -> dict[str, int]:
    """Count the images that repeat another one, by the surest kind of link that ties them to it.

    Of images that are all duplicates of each other, one counts as the original. The counts add up to the number of
    images less that of unique images. Unreadable and blank images are not counted.
    """
    usable = table.loc[table["problem"] == "", "path"]
    row = pd.Series(np.arange(len(usable)), usable)
    pairs = links[links["first"].isin(usable) & links["second"].isin(usable)]
    counts, remaining = {}, len(usable)
    for number, kind in enumerate(DUPLICATE_KINDS, 1):
        joined = pairs[pairs["kind"].isin(DUPLICATE_KINDS[:number])]
        ends = np.stack([row[joined[side]].to_numpy(np.int64) for side in ("first", "second")], axis=1)
        components = len(np.unique(find_components(ends, len(usable))))
        counts[kind], remaining = remaining - components, components
    return counts


def count_other_labels(table: pd.DataFrame) -> int:
    """Count the images with another label than most of their duplicates."""
    labeled = table[table["conflict"] & (table["label"] != "")]
    sizes = labeled.groupby(["duplicate_id", "label"]).size()
    return int(len(labeled) - sizes.groupby("duplicate_id").max().sum())


def _list_counts(counts: Mapping[str, int], names: Mapping[str, tuple[str, str]]) -> list[str]:
    """Return "count name" for each name that has a count above 0."""
    found = {key: counts.get(key, 0) for key in names}
    return [f"{count} {names[key][count != 1]}" for key, count in found.items() if count]
