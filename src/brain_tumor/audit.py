"""Which images of a data set are the same, which belong to one patient, and what is wrong with them."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from brain_tumor.images import UnreadableImageError, read_gray


class Reading(NamedTuple):
    """What decoding an image gave: a digest of its size and gray pixels, or why it could not be read."""

    pixels: str = ""
    width: int = 0
    height: int = 0
    problem: str = ""


def inspect(content: bytes) -> Reading:
    """Decode one image file. Flat images are readable, and reported as a problem."""
    try:
        gray = read_gray(content)
    except UnreadableImageError as error:
        return Reading(problem=f"unreadable: {error}")
    height, width = gray.shape
    digest = hashlib.sha256(f"{width}x{height} ".encode() + gray.tobytes()).hexdigest()
    blank = "blank: all pixels are equal" if gray.min() == gray.max() else ""
    return Reading(digest, width, height, blank)


def audit(index: pd.DataFrame, readings: Sequence[Reading]) -> pd.DataFrame:
    """Return the audit's table: one row an image of `index`, in its order.

    Columns added to those of the index:
        pixels, width, height, problem: from the readings.
        group: images that must not stand on two sides of a split: byte-identical files, files with the same
            gray pixels, images of one patient. Named after the smallest content in it, so that it does not
            depend on file names or order.
        copy: `exact` or `pixels` if another image has the same bytes or the same pixels, else ''.
        conflict: whether images of the same pixels bear different labels.
    """
    table = index.join(pd.DataFrame(readings, index=index.index))
    readable = table["pixels"] != ""
    links = [table["sha256"], table["pixels"].where(readable), table["patient"].where(table["patient"] != "")]
    component = connect(links, len(table))
    table["group"] = "g" + table.groupby(component)["sha256"].transform("min").str[:12]
    same_bytes = table.duplicated("sha256", keep=False)
    same_pixels = readable & table.duplicated("pixels", keep=False)
    table["copy"] = np.select([same_bytes, same_pixels], ["exact", "pixels"], "")
    labels = table[same_pixels].groupby("pixels")["label"].transform("nunique")
    table["conflict"] = (labels.reindex(table.index, fill_value=1) > 1).to_numpy()
    return table


def connect(keys: Sequence["pd.Series[Any]"], count: int) -> NDArray[np.int32]:
    """Number the connected components of `count` rows, two rows being linked by an equal key (NaN is none)."""
    first, second = [], []
    for key in keys:
        codes, _ = pd.factorize(key)
        rows = np.flatnonzero(codes >= 0)
        order = rows[np.argsort(codes[rows], kind="stable")]
        same = codes[order][1:] == codes[order][:-1]
        first.append(order[:-1][same])
        second.append(order[1:][same])
    one, other = np.concatenate(first), np.concatenate(second)
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int32)


def summary(table: pd.DataFrame) -> dict[str, Any]:
    """Count what the audit found; `leaked` is about the published split, if there is one."""
    result: dict[str, Any] = {
        "images": len(table),
        "distinct_files": int(table["sha256"].nunique()),
        "distinct_images": int(table.loc[table["pixels"] != "", "pixels"].nunique()),
        "groups": int(table["group"].nunique()),
        "patients": int(table.loc[table["patient"] != "", "patient"].nunique()),
        "unreadable": int((table["pixels"] == "").sum()),
        "blank": int(table["problem"].str.startswith("blank").sum()),
        "label_conflicts": int(table.loc[table["conflict"], "pixels"].nunique()),
    }
    train, test = table["split"] == "train", table["split"] == "test"
    if test.any():
        result["published_test"] = int(test.sum())
        for kind, column in (("exact", "sha256"), ("pixels", "pixels"), ("group", "group")):
            result[f"leaked_{kind}"] = int(
                table.loc[test, column].isin(table.loc[train & (table[column] != ""), column]).sum()
            )
    return result


def example_pairs(table: pd.DataFrame, most: int) -> list[tuple[str, str, str]]:
    """Choose up to `most` pairs (path, path, what links them) for the gallery, the worst kinds first.

    Conflicting labels come first, then copies across the published split, then other copies; inside a kind
    the order is that of the contents.
    """
    copies = table[(table["copy"] != "") & (table["pixels"] != "")].sort_values(["pixels", "path"])
    found: list[tuple[int, str, str, str, str]] = []
    for pixels, same in copies.groupby("pixels", sort=True):
        across = same.drop_duplicates("split")
        labels = same.drop_duplicates("label")
        pair, rank, what = same.iloc[:2], 2, "copy"
        if len(labels) > 1:
            pair, rank, what = labels.iloc[:2], 0, "same pixels, other label"
        elif len(across) > 1:
            pair, rank, what = across.iloc[:2], 1, "in training and test"
        kind = "same bytes" if pair["sha256"].nunique() == 1 else "same pixels"
        found.append((rank, str(pixels), *pair["path"], f"{what} ({kind})"))
    chosen = sorted(found)[:most]
    return [(first, second, what) for _, _, first, second, what in chosen]
