"""Which images of a data set are the same, which belong to one patient, and what is wrong with them."""

import hashlib
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from brain_tumor.copies import TRANSFORMS, components, find_links, turn
from brain_tumor.errors import UserError
from brain_tumor.images import UnreadableImageError, read_gray
from brain_tumor.leakage import leaks
from brain_tumor.parallel import ordered_map
from brain_tumor.thumbnails import SIDE, Thumbnails, thumbnails

# Kinds of links, the surest first; `refused` is listed, and joins nothing.
SAME_PICTURE = ("exact", "pixels", "near", "mirrored", "rotated")
JOINING = (*SAME_PICTURE, "patient", "adjacent")
COLUMNS = ["first", "second", "kind", "transform", "distance", "correlation"]


# Gives the bytes of a path; picklable, for it is called in other processes.
Read = Callable[[str], bytes]


class Reading(NamedTuple):
    """What decoding an image gave: a digest of its size and gray pixels, or why it could not be read.

    `problem` is set for unreadable and blank images, `doubt` for those that do not look like a head;
    `thumbnails` is None for what cannot be compared.
    """

    pixels: str = ""
    width: int = 0
    height: int = 0
    problem: str = ""
    doubt: str = ""
    thumbnails: Thumbnails | None = None


def inspect(content: bytes) -> Reading:
    """Decode one image file. Flat images are readable, and reported as a problem."""
    try:
        gray = read_gray(content)
    except UnreadableImageError as error:
        return Reading(problem=f"unreadable: {error}")
    height, width = gray.shape
    digest = hashlib.sha256(f"{width}x{height} ".encode() + gray.tobytes()).hexdigest()
    if gray.min() == gray.max():
        return Reading(digest, width, height, "blank: all pixels are equal")
    small = thumbnails(gray)
    return Reading(digest, width, height, "", small.doubt, small)


def audit(index: pd.DataFrame, read: Read, title: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Examine every image of a data set once, and link those that belong together.

    Memory stays bounded: images are read one at a time, thumbnails lie on disk, and what is kept of an image
    is about 2 kB.

    Args:
        index: with columns path, label, split, patient and sha256 (others are carried along).
        read: gives the bytes of a path.
        title: for the progress bars.

    Returns:
        The table, one row an image of `index` in its order and numbered anew, with these columns added:
            pixels, width, height, problem, doubt: see `Reading`.
            copies: the picture; images with the same value are copies of each other, mirrored ones included.
            orientation: how the image must be turned (see `copies.TRANSFORMS`) to look like the first copy.
            group: images that must not stand on two sides of a split: copies, slices of one patient, adjacent
                slices. `copies` and `group` are named after the smallest content among them, so that they
                depend neither on file names nor on order.
            kind: the surest kind of link that the image has, '' if none.
            conflict: whether copies of this picture bear different labels.
        The links: first, second (paths), kind, transform, distance, correlation, in the order of the contents.
    """
    if not index["path"].is_unique:
        raise UserError(f"{index.loc[index['path'].duplicated(), 'path'].iloc[0]} is listed twice")
    index = index.reset_index(drop=True)
    # Images are handled in the order of their contents: neither listing order nor names matter.
    order = index.sort_values(["sha256", "label", "split", "path"]).index
    paths = index.loc[order, "path"].tolist()
    with tempfile.TemporaryDirectory() as folder:
        shape = (len(paths), SIDE, SIDE)
        frames, heads = (open_memmap(Path(folder) / name, "w+", np.uint8, shape) for name in ("frames", "heads"))
        rows, comparable = [], []
        for number, reading in enumerate(ordered_map(partial(_read, read), paths, f"{title}: images")):
            rows.append(reading[:-1])
            if reading.thumbnails is not None:
                comparable.append(number)
                frames[number], heads[number] = reading.thumbnails.frame, reading.thumbnails.head
        table = index.join(pd.DataFrame(rows, index=order, columns=Reading._fields[:-1]))
        ordered = table.loc[order].reset_index(drop=True)
        # Equal pixels need no comparison: the first of them stands for all.
        first = ordered.loc[comparable].drop_duplicates("pixels").index.to_numpy(np.int64)
        for part in (frames, heads):
            for place, row in enumerate(first.tolist()):  # one at a time: they stay on disk
                part[place] = part[row]
            part.flush()
        saved = [np.load(Path(folder) / name, mmap_mode="r")[: len(first)] for name in ("frames", "heads")]
        near = find_links(saved[0], saved[1], title)
    near[["first", "second"]] = first[near[["first", "second"]].to_numpy(np.int64)]
    links = pd.concat([_equal_links(ordered), _named(near)], ignore_index=True)
    found = _joined(ordered, links)
    links[["first", "second"]] = ordered["path"].to_numpy()[links[["first", "second"]].to_numpy(np.int64)]
    return table.join(found.set_index(order)), links[COLUMNS]


def _read(read: Read, path: str) -> Reading:
    return inspect(read(path))


def _equal_links(table: pd.DataFrame) -> pd.DataFrame:
    """Links of rows with the same bytes, pixels or patient: each row to the one before it."""
    found = []
    for kind, column in (("exact", "sha256"), ("pixels", "pixels"), ("patient", "patient")):
        known = table[table[column] != ""]
        if kind == "pixels":
            known = known.drop_duplicates("sha256")
        before = known.index.to_series().groupby(known[column]).shift()
        pairs = before.dropna().astype(np.int64)
        links = pd.DataFrame({"first": pairs, "second": pairs.index, "kind": kind, "transform": "none"})
        found.append(links if kind == "patient" else links.assign(distance=0.0, correlation=1.0))
    return pd.concat(found, ignore_index=True)


def _named(near: pd.DataFrame) -> pd.DataFrame:
    """Name links by what they show: a copy as it is, mirrored or rotated."""
    turned = {name: "rotated" if name.startswith("rotate") else "mirrored" for name in TRANSFORMS} | {"none": "near"}
    return near.assign(kind=near["transform"].map(turned).where(near["kind"] == "copy", near["kind"]))


def _joined(table: pd.DataFrame, links: pd.DataFrame) -> pd.DataFrame:
    """The columns copies, orientation, group, kind and conflict for rows in the order of their contents."""
    names = table["sha256"].str[:12]
    # Unfit files of the same bytes are not joined, so that each needs a name of its own.
    number = table.groupby("sha256").cumcount()
    names = names.where((table["problem"] == "") | (number == 0), names + "-" + number.astype(str))
    # Blank and broken files may be alike, but are no picture that leaks.
    sound = (table["problem"] == "").to_numpy()
    sound = sound[links["first"].to_numpy(np.int64)] & sound[links["second"].to_numpy(np.int64)]
    same = links[links["kind"].isin(SAME_PICTURE) & sound]
    joining = links[links["kind"].isin(JOINING) & (sound | (links["kind"] == "patient"))]
    result = pd.DataFrame(index=table.index)
    for column, letter, chosen in (("copies", "c", same), ("group", "g", joining)):
        component = components(chosen[["first", "second"]].to_numpy(np.int64), len(table))
        result[column] = letter + names.groupby(component).transform("min")
    result["orientation"] = np.asarray(TRANSFORMS)[_orientations(same, len(table))]
    rank = {kind: number for number, kind in enumerate(JOINING)}
    ends = pd.concat(
        [
            joining[["first", "kind"]].set_axis(["row", "kind"], axis=1),
            joining[["second", "kind"]].set_axis(["row", "kind"], axis=1),
        ]
    )
    surest = (
        ends.assign(rank=ends["kind"].map(rank)).sort_values("rank").drop_duplicates("row").set_index("row")["kind"]
    )
    result["kind"] = surest.reindex(table.index).fillna("")
    # An image without a label contradicts nothing.
    known = table["label"].replace("", np.nan)
    result["conflict"] = known.groupby(result["copies"]).transform("nunique") > 1
    return result[["copies", "orientation", "group", "kind", "conflict"]]


def _orientations(same: pd.DataFrame, count: int) -> NDArray[np.int64]:
    """How each row must be turned to look like the first of its copies, by the transforms along the links."""
    then, back = _turns()
    neighbors: dict[int, list[tuple[int, int]]] = {}
    numbers = same["transform"].map({name: number for number, name in enumerate(TRANSFORMS)})
    for first, second, k in zip(same["first"], same["second"], numbers, strict=True):
        neighbors.setdefault(int(first), []).append((int(second), k))
        neighbors.setdefault(int(second), []).append((int(first), back[k]))
    result = np.full(count, -1, np.int64)
    for start in range(count):
        if result[start] < 0:
            result[start] = 0
            queue = [start]
            for row in queue:
                for other, k in neighbors.get(row, []):
                    if result[other] < 0:
                        result[other] = then[k, result[row]]
                        queue.append(other)
    return result


def _turns() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tables of the eight turns: number of `a, then b`, and of the turn that undoes `a`."""
    corners = np.arange(4, dtype=np.uint8).reshape(2, 2)
    numbers = {turn(corners, k).tobytes(): k for k in range(8)}
    then = np.array([[numbers[turn(turn(corners, a), b).tobytes()] for b in range(8)] for a in range(8)])
    return then, then.argmin(1)


def _measured_by_patients(table: pd.DataFrame, links: pd.DataFrame) -> dict[str, Any]:
    """How the links by content agree with the patients that the source names.

    Returns:
        links_across_patients by kind, which are errors unless patients share images; and of the images whose
        patient has others (`images_with_siblings`) how many a link by content ties to one of them.
    """
    patient = table.set_index("path")["patient"]
    first, second = (links[side].map(patient) for side in ("first", "second"))
    across = (first != second) & (first != "") & (second != "")
    found = links[links["kind"].isin(JOINING) & (links["kind"] != "patient") & (first == second) & (first != "")]
    siblings = table.loc[(table["patient"] != "") & table.duplicated("patient", keep=False), "path"]
    tied = set(found["first"]) | set(found["second"])
    return {
        "links_across_patients": {kind: int((across & (links["kind"] == kind)).sum()) for kind in JOINING},
        "images_with_siblings": len(siblings),
        "siblings_tied_by_content": int(siblings.isin(tied).sum()),
    }


def summary(table: pd.DataFrame, links: pd.DataFrame) -> dict[str, Any]:
    """Count what the audit found; `leaked` counts test images of the published split, if there is one."""
    kinds = links["kind"].value_counts()
    classes = table["label"].replace("", np.nan).groupby(table["group"]).nunique()
    result: dict[str, Any] = {
        "images": len(table),
        "distinct_files": int(table["sha256"].nunique()),
        "distinct_pixels": int(table.loc[table["pixels"] != "", "pixels"].nunique()),
        "distinct_images": int(table["copies"].nunique()),
        "groups": int(table["group"].nunique()),
        "largest_group": int(table["group"].value_counts().max()),
        "groups_of_several_classes": int((classes > 1).sum()),
        "label_conflicts": int(table.loc[table["conflict"], "copies"].nunique()),
        "patients": int(table.loc[table["patient"] != "", "patient"].nunique()),
        "unreadable": int((table["pixels"] == "").sum()),
        "blank": int(table["problem"].str.startswith("blank").sum()),
        "doubtful": int((table["doubt"] != "").sum()),
        "links": {kind: int(kinds.get(kind, 0)) for kind in (*JOINING, "refused")},
    }
    if result["patients"]:
        result |= _measured_by_patients(table, links)
    if (table["split"] == "test").any():
        test, train = table[table["split"] == "test"], table[table["split"] == "train"]
        result["published_test"] = len(test)
        for name, column in (("exact", "sha256"), ("pixels", "pixels"), ("copies", "copies"), ("group", "group")):
            result[f"leaked_{name}"] = int((test[column].isin(train[column]) & (test["problem"] == "")).sum())
        result["leaked_mirrored_only"] = int((leaks(test, train) == "mirrored").sum())
    return result
