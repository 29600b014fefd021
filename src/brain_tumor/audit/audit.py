"""Audit of a data set: inspect every image once, link related images, and assign duplicate classes and groups."""

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.lib.format import open_memmap

from brain_tumor.audit.groups import assign_groups, link_equal_rows, link_near_duplicates
from brain_tumor.audit.inspection import ImageRecord, ReadFile, read_and_inspect
from brain_tumor.audit.near_duplicates import find_near_duplicates
from brain_tumor.audit.patients import ADDED, pass_on_to_duplicates
from brain_tumor.audit.thumbnails import THUMBNAIL_SIDE, Thumbnails
from brain_tumor.core.errors import UserError
from brain_tumor.core.types import Gray, Ints
from brain_tumor.parallel import ordered_map

LINK_COLUMNS = ["first", "second", "kind", "transform", "distance", "correlation"]


def audit_images(index: pd.DataFrame, read_file: ReadFile, title: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Inspect every image of a data set once, and link related images.

    Memory is bounded: images are read one at a time, thumbnails are kept on disk, and about 2 kB per image remain.

    Args:
        index: table with columns path, label, split, patient and sha256, and as far as known series, fold and
            source_label (see `patients.add_patients`); others are kept unchanged.
        read_file: returns the bytes of a path.
        title: title of the progress bars.

    Returns:
        The table, one row per image in the order of `index`, renumbered, with these columns added:
            series, fold, source_label: '' where unknown; like patient also known for duplicates of images that have
                them.
            pixels, width, height, problem, quality_warning: see `ImageRecord`.
            duplicate_id: equal for duplicates: equal, rescaled, re-encoded, mirrored or rotated versions of an image.
            orientation: the transform (see `transforms.TRANSFORMS`) that aligns the image with its first duplicate.
            group: equal for images that must be in the same part of a split: duplicates, images of one patient or
                series, adjacent slices. `duplicate_id` and `group` are named after the smallest content hash among
                their images, so that they are independent of file names and order.
            kind: the strongest kind of link that the image has, '' if none.
            conflict: whether duplicates of this image have different labels.
        The links: first, second (paths), kind, transform, distance, correlation, sorted by content.

    Raises:
        UserError: a path is listed twice.
    """
    if not index["path"].is_unique:
        raise UserError(f"{index.loc[index['path'].duplicated(), 'path'].iloc[0]} is listed twice")
    index = index.reset_index(drop=True)
    index = index.assign(**{name: "" for name in ADDED if name not in index})
    # Images are handled in the order of their contents: neither their order nor their names matter.
    order = index.sort_values(["sha256", "label", "split", "path"]).index
    paths = index.loc[order, "path"].tolist()
    with tempfile.TemporaryDirectory() as folder:
        store = _ThumbnailStore(Path(folder), len(paths))
        records = _inspect_images(paths, read_file, store, f"{title}: images")
        table = index.join(pd.DataFrame(records, index=order, columns=ImageRecord._fields[:-1]))
        ordered = table.loc[order].reset_index(drop=True)
        # Images with equal pixels need no comparison: the first of them represents all.
        rows = ordered.loc[store.rows].drop_duplicates("pixels").index.to_numpy(np.int64)
        near = find_near_duplicates(*store.select(rows), title)
    near[["first", "second"]] = rows[near[["first", "second"]].to_numpy(np.int64)]
    links = pd.concat([link_equal_rows(ordered), link_near_duplicates(near)], ignore_index=True)
    groups = assign_groups(ordered, links)
    links[["first", "second"]] = ordered["path"].to_numpy()[links[["first", "second"]].to_numpy(np.int64)]
    table = table.join(groups.set_index(order))
    return table.assign(**pass_on_to_duplicates(table)), links[LINK_COLUMNS]


class _ThumbnailStore:
    """Thumbnails on disk.

    Attributes:
        rows: numbers of the images that have thumbnails.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self._files = [folder / "frames", folder / "heads"]
        shape = (count, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        self._arrays = [open_memmap(file, "w+", np.uint8, shape) for file in self._files]
        self.rows: list[int] = []

    def add(self, row: int, thumbnails: Thumbnails) -> None:
        """Store the thumbnails of one image."""
        self.rows.append(row)
        for array, thumbnail in zip(self._arrays, (thumbnails.frame, thumbnails.head), strict=True):
            array[row] = thumbnail

    def select(self, rows: Ints) -> tuple[Gray, Gray]:
        """Return frames and heads of some rows (ascending), memory-mapped; nothing can be added afterwards."""
        for array in self._arrays:
            for position, row in enumerate(rows.tolist()):  # one at a time: they stay on disk
                array[position] = array[row]
            array.flush()
        frames, heads = (np.load(file, mmap_mode="r")[: len(rows)] for file in self._files)
        return frames, heads


def _inspect_images(
    paths: Sequence[str], read_file: ReadFile, store: _ThumbnailStore, title: str
) -> list[tuple[str | int, ...]]:
    """Inspect images; return their records without thumbnails, which go to `store`."""
    records: list[tuple[str | int, ...]] = []
    for row, record in enumerate(ordered_map(partial(read_and_inspect, read_file), paths, title)):
        records.append(record[:-1])
        if record.thumbnails is not None:
            store.add(row, record.thumbnails)
    return records
