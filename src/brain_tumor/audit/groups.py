"""Links between images, and the duplicate classes and groups that follow from them."""

import numpy as np
import pandas as pd

from brain_tumor.audit.near_duplicates import find_components
from brain_tumor.audit.transforms import TRANSFORMS, dihedral_tables
from brain_tumor.core.types import Ints

# Kinds of links, the strongest first. Links of kind `rejected` are listed, and join nothing.
DUPLICATE_KINDS = ("exact", "pixels", "near", "mirrored", "rotated")
IDENTITY_KINDS = ("patient", "series")  # known from the source or a table of patients, whatever images look like
GROUPING_KINDS = (*DUPLICATE_KINDS, *IDENTITY_KINDS, "adjacent")


def link_equal_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Link rows with the same bytes, pixels, patient or series: each row to the one before it."""
    parts = []
    for kind, column in (("exact", "sha256"), ("pixels", "pixels"), *zip(IDENTITY_KINDS, IDENTITY_KINDS, strict=True)):
        rows = table[table[column] != ""]
        if kind == "pixels":
            rows = rows.drop_duplicates("sha256")
        previous = rows.index.to_series().groupby(rows[column]).shift()
        pairs = previous.dropna().astype(np.int64)
        links = pd.DataFrame({"first": pairs, "second": pairs.index, "kind": kind, "transform": "none"})
        parts.append(links if kind in IDENTITY_KINDS else links.assign(distance=0.0, correlation=1.0))
    return pd.concat(parts, ignore_index=True)


def link_near_duplicates(near: pd.DataFrame) -> pd.DataFrame:
    """Set the kind of near-duplicates by their transform: near (none), mirrored or rotated."""
    kinds = {name: "rotated" if name.startswith("rotate") else "mirrored" for name in TRANSFORMS} | {"none": "near"}
    return near.assign(kind=near["transform"].map(kinds).where(near["kind"] == "duplicate", near["kind"]))


def assign_groups(table: pd.DataFrame, links: pd.DataFrame) -> pd.DataFrame:
    """Assign the columns duplicate_id, orientation, group, kind and conflict (see `audit.audit_images`).

    Args:
        table: the images, sorted by content and numbered from 0.
        links: first and second are row numbers of `table`.
    """
    # Blank and unreadable files may be equal, but are not duplicates that leak information.
    usable = (table["problem"] == "").to_numpy()
    both_usable = usable[links["first"].to_numpy(np.int64)] & usable[links["second"].to_numpy(np.int64)]
    duplicates = links[links["kind"].isin(DUPLICATE_KINDS) & both_usable]
    grouping = links[links["kind"].isin(GROUPING_KINDS) & (both_usable | links["kind"].isin(IDENTITY_KINDS))]
    result = pd.DataFrame(index=table.index)
    result["duplicate_id"] = _name_components(table, duplicates, "c")
    result["orientation"] = np.asarray(TRANSFORMS)[resolve_orientations(duplicates, len(table))]
    result["group"] = _name_components(table, grouping, "g")
    result["kind"] = _strongest_kinds(table.index, grouping)
    labels = table["label"].replace("", np.nan)  # an image without a label conflicts with none
    result["conflict"] = labels.groupby(result["duplicate_id"]).transform("nunique") > 1
    return result


def _name_components(table: pd.DataFrame, links: pd.DataFrame, prefix: str) -> "pd.Series[str]":
    """Name the connected components of rows after the smallest content hash among them."""
    names = table["sha256"].str[:12]
    # Unusable files with the same bytes are not joined: each needs a name of its own.
    number = table.groupby("sha256").cumcount()
    names = names.where((table["problem"] == "") | (number == 0), names + "-" + number.astype(str))
    component = find_components(links[["first", "second"]].to_numpy(np.int64), len(table))
    result: pd.Series[str] = prefix + names.groupby(component).transform("min")
    return result


def _strongest_kinds(index: "pd.Index[int]", links: pd.DataFrame) -> "pd.Series[str]":
    """Find the strongest kind of link of each row, '' if it has none."""
    rank = {kind: number for number, kind in enumerate(GROUPING_KINDS)}
    ends = pd.concat([links[[side, "kind"]].set_axis(["row", "kind"], axis=1) for side in ("first", "second")])
    ends = ends.assign(rank=ends["kind"].map(rank)).sort_values("rank").drop_duplicates("row")
    return ends.set_index("row")["kind"].reindex(index).fillna("")


def resolve_orientations(duplicates: pd.DataFrame, count: int) -> Ints:
    """Find the transform that aligns each of `count` rows with the first of its duplicates, along the links.

    Args:
        duplicates: links, with columns first, second (row numbers) and transform (name).

    Returns:
        (count,) numbers of transforms, 0 for the first of each duplicate class.
    """
    composed, inverse = dihedral_tables()
    neighbors: dict[int, list[tuple[int, int]]] = {}
    numbers = duplicates["transform"].map({name: number for number, name in enumerate(TRANSFORMS)})
    for first, second, transform in zip(duplicates["first"], duplicates["second"], numbers, strict=True):
        neighbors.setdefault(int(first), []).append((int(second), transform))
        neighbors.setdefault(int(second), []).append((int(first), inverse[transform]))
    result = np.full(count, -1, np.int64)
    for start in range(count):
        if result[start] < 0:
            result[start] = 0
            queue = [start]
            for row in queue:
                for other, transform in neighbors.get(row, []):
                    if result[other] < 0:
                        result[other] = composed[transform, result[row]]
                        queue.append(other)
    return result
