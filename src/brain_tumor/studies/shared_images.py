"""Images that several data sets share: the data sets are audited as if they were one."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from brain_tumor.datasets.raw_archive import ArchiveReader, RawArchive

log = logging.getLogger(__name__)
# Relation of an image to an image of another data set, and the column of the audit that is equal for both.
RELATIONS = {"duplicate": "duplicate_id", "same_group": "group"}


class MultiArchiveReader:
    """Reads images of several raw archives by `<data set>/<path>`; it can be sent to another process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, path: str) -> bytes:
        """Return the bytes of one image."""
        dataset, _, member = path.partition("/")
        return ArchiveReader(str(self._folder / f"{dataset}.zip"))(member)


def read_joint_index(folder: Path, datasets: Sequence[str]) -> pd.DataFrame:
    """Read the images of several raw archives of a folder as one table.

    Returns:
        The columns of their indexes, and `dataset`; `<data set>/` precedes each path and patient.
    """
    parts = []
    for name in datasets:
        with RawArchive(folder / f"{name}.zip") as raw:
            part = raw.index.assign(path=f"{name}/" + raw.index["path"], dataset=name)
        part["patient"] = part["patient"].where(part["patient"] == "", f"{name}/" + part["patient"])
        parts.append(part)
    return pd.concat(parts, ignore_index=True).fillna("")


def add_relations(table: pd.DataFrame) -> pd.DataFrame:
    """Add `<relation>_in` for each of RELATIONS: the names of the other data sets with such an image, space-separated.

    Args:
        table: an audit's images, and their `dataset`.
    """
    columns = {f"{relation}_in": _list_other_datasets(table, key) for relation, key in RELATIONS.items()}
    return table.assign(**columns)


def _list_other_datasets(table: pd.DataFrame, key: str) -> "pd.Series[str]":
    names = {value: sorted(set(datasets)) for value, datasets in table.groupby(key)["dataset"]}
    pairs = zip(table["dataset"], table[key], strict=True)
    others = [" ".join(name for name in names[value] if name != dataset) for dataset, value in pairs]
    return pd.Series(others, table.index, dtype=str)


def count_shared_images(table: pd.DataFrame, datasets: Sequence[str]) -> dict[str, Any]:
    """Count the images of each data set that have a related image in each other one.

    Args:
        table: rows of `add_relations`.
        datasets: their names, in the order of the result.

    Returns:
        By data set `images`, their number, and for each of RELATIONS the number by other data set.
    """
    result: dict[str, Any] = {}
    for name in datasets:
        rows = table[table["dataset"] == name]
        result[name] = {"images": len(rows)}
        for relation in RELATIONS:
            others = rows[f"{relation}_in"].str.split(" ")
            result[name][relation] = {
                other: int(others.map(lambda names, other=other: other in names).sum())
                for other in datasets
                if other != name
            }
    return result


def log_shared_images(counts: Mapping[str, Any]) -> None:
    """Log how many images of each data set have a duplicate in each other one; `counts`: of `count_shared_images`."""
    for name, own in counts.items():
        for other, number in own["duplicate"].items():
            log.info("%s: %d of %d images have a duplicate in %s", name, number, own["images"], other)


def select_links_across(table: pd.DataFrame, links: pd.DataFrame) -> pd.DataFrame:
    """Select the links between images of different data sets."""
    dataset = table.set_index("path")["dataset"]
    return links[links["first"].map(dataset) != links["second"].map(dataset)]
