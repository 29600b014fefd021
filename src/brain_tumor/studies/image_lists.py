"""Lists of the images of a data set: content hashes and what is known about each image, without the images.

With such a list, anyone who has the files can look up duplicates, patients and folds by hash, without an audit.
"""

import functools
import logging
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from pandas.errors import ParserError

from brain_tumor.audit.groups import resolve_orientations
from brain_tumor.audit.near_duplicates import find_components
from brain_tumor.audit.relations import COLUMNS as RELATION_COLUMNS
from brain_tumor.audit.summary import labels_differ
from brain_tumor.audit.transforms import TRANSFORMS, dihedral_tables
from brain_tumor.core.errors import UserError
from brain_tumor.core.tables import read_table
from brain_tumor.core.types import Masks

if TYPE_CHECKING:
    from brain_tumor.splits.split import SplitParams

log = logging.getLogger(__name__)
COLUMNS = (
    "sha256", "pixels", "path", "label", "split", "patient", "series", "source", "slice", "source_fold", "source_label",
    "duplicate_id", "orientation", "group", "doubt", "fold",
)  # fmt: skip
CONFLICT = "duplicates have different labels"
OTHER_LABEL = "another label in its source"
UNUSABLE = ("unreadable", "blank")  # beginnings of doubts, see `inspection.ImageRecord`
NUM_FOLDS, SEED = 5, 0
# Kinds of relations that a list tells, the surest first, with the column that is equal; kinds of duplicates are told
# apart by the orientations of both images. The patients of a list have other names than those of the index.
KEYS = (
    ("exact", "sha256"), ("pixels", "pixels"), ("near", "duplicate_id"), ("mirrored", "duplicate_id"),
    ("rotated", "duplicate_id"), ("patient", "patient"), ("patient", "listed_patient"), ("series", "series"),
    ("adjacent", "group"),
)  # fmt: skip
IDS = ("group", "patient", "series")  # columns of a list that name what images have in common


class Lookup(NamedTuple):
    """Images looked up in lists.

    Attributes:
        rows: a row for each image, in their order, with path, patient (of the index, else of the list) and, as far as
            listed, the other columns of KEYS, orientation and label; '' for images that are not listed.
        unlisted: paths of the images that no list has.
    """

    rows: pd.DataFrame
    unlisted: list[str]


def find_reasons(table: pd.DataFrame) -> "pd.Series[str]":
    """Return why an image of an audit is in no part of a split, '' if it is in one."""
    conflict = pd.Series(CONFLICT, table.index).where(table["conflict"], "")
    return table["problem"].where(table["problem"] != "", conflict)


def assign_folds(rows: pd.DataFrame, params: "SplitParams") -> "pd.Series[str]":
    """Return the number of the fold of each row, from 0; groups stay together.

    Args:
        rows: usable images of an audit.
        params: with the strategy `kfold`; `fold` does not matter.
    """
    from brain_tumor.splits.split import split_rows  # imports scikit-learn, which only folds need

    assert params.folds is not None
    folds = pd.Series("", rows.index)
    for number in range(params.folds):
        part = split_rows(rows, params.model_copy(update={"fold": number}))["part"]
        folds[part == "test"] = str(number)
    return folds


def make_list(table: pd.DataFrame, patients: pd.DataFrame) -> pd.DataFrame:
    """Make the list of a data set.

    Args:
        table: its audit, see `audit.audit_images`.
        patients: the table of patients that the audit used, see `patients.read_patients`.

    Returns:
        A row for each image with COLUMNS as text, sorted by sha256 and path:
            sha256, pixels: SHA-256 of the file, and of the size and the gray pixels.
            path, label, split: in the data set.
            patient, series, source_fold, source_label: where known, also for duplicates of known images.
            source, slice: of the file itself, where known.
            duplicate_id, orientation, group: see the audit.
            doubt: why the label may be wrong or the image is not usable, '' if there is no reason. Of duplicates with
                different labels, those with another label than in their source are told from the others.
            fold: number of a fold from 0 to 4, which keeps groups apart; '' for images that are not usable, and for
                all images if a class has too few groups.
    """
    from brain_tumor.splits.split import SplitParams

    facts = patients.set_index("sha256").reindex(table["sha256"]).fillna("").set_index(table.index)
    reasons = find_reasons(table)
    usable = table[reasons == ""]
    params = SplitParams(strategy="kfold", folds=NUM_FOLDS, fold=0, validation=0.0, seed=SEED)
    try:
        folds = assign_folds(usable, params)
    except UserError as error:
        log.warning("the list has no folds: %s", error)
        folds = pd.Series("", usable.index)
    result = table.rename(columns={"fold": "source_fold"}).assign(
        source=facts["source"],
        slice=facts["slice"],
        doubt=reasons.mask(labels_differ(table) & (table["problem"] == ""), OTHER_LABEL),
        fold=folds.reindex(table.index).fillna(""),
    )
    return result[list(COLUMNS)].sort_values(["sha256", "path"], ignore_index=True)


def read_lists(paths: Collection[Path]) -> pd.DataFrame:
    """Read lists, or all of a folder, as one list.

    Duplicates, groups, patients and series of different lists are different ones, unless these have an image in common.

    Raises:
        UserError: a file that is missing or is not such a list, or a folder without any.
    """
    files = [file for path in paths for file in (sorted(path.glob("*.csv")) if path.is_dir() else [path])]
    if not files:
        raise UserError(f"{', '.join(map(str, paths))}: no list (a CSV file) there")
    lists = []
    for file in files:
        try:
            table = read_table(file)
        except FileNotFoundError:
            raise UserError(f"{file} does not exist") from None
        except (ValueError, ParserError) as error:  # UnicodeDecodeError and EmptyDataError are ValueErrors
            raise UserError(f"{file} is not a CSV table: {error}") from None
        if missing := [column for column in COLUMNS if column not in table]:
            raise UserError(f"{file} is not a list of images: it has no column {', '.join(missing)}")
        for column in ("duplicate_id", *IDS):
            table[column] = table[column].where(table[column] == "", f"{file.stem} " + table[column])
        lists.append(table)
    return _join_lists(pd.concat(lists, ignore_index=True)) if len(lists) > 1 else lists[0]


def _join_lists(lists: pd.DataFrame) -> pd.DataFrame:
    """Give what the images of several lists have in common one name; images are equal by their bytes or pixels."""
    usable = lists[~lists["doubt"].str.startswith(UNUSABLE)]
    parts = [_link_to_previous(usable, column) for column in ("sha256", "pixels")]
    equal = pd.concat(parts, ignore_index=True)
    first = (
        lists.index.to_series().where(lists["orientation"] == "none").groupby(lists["duplicate_id"]).transform("min")
    )
    within = pd.DataFrame({"first": first, "second": lists.index, "transform": lists["orientation"]}).dropna()
    links = pd.concat([equal, within], ignore_index=True).astype({"first": np.int64})
    component = find_components(links[["first", "second"]].to_numpy(np.int64), len(lists))
    return lists.assign(
        duplicate_id=lists["duplicate_id"].groupby(component).transform("min"),
        orientation=np.asarray(TRANSFORMS)[resolve_orientations(links, len(lists))],
        **{column: _join_names(lists[column], equal) for column in IDS},
    )


def _link_to_previous(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Link each row to the one before it that has the same value in a column, if it has one."""
    rows = rows[rows[column] != ""]
    previous = rows.index.to_series().groupby(rows[column]).shift().dropna().astype(np.int64)
    return pd.DataFrame({"first": previous, "second": previous.index, "transform": "none"})


def _join_names(names: "pd.Series[str]", equal: pd.DataFrame) -> "pd.Series[str]":
    """Return for each name the smallest of those that equal rows connect with it; '' is none."""
    codes, distinct = pd.factorize(names.where(names != ""))
    pairs = codes[equal[["first", "second"]].to_numpy(np.int64)]
    component = find_components(pairs[(pairs >= 0).all(1)], len(distinct))
    smallest = pd.Series(distinct, dtype=str).groupby(component).transform("min")
    joined = dict(zip(distinct, smallest, strict=True))
    return pd.Series([joined.get(name, "") for name in names], names.index, dtype=str)


def look_up(index: pd.DataFrame, lists: pd.DataFrame) -> Lookup:
    """Look up images by the hash of their file or, where that is not listed, of their pixels.

    Args:
        index: with the columns path, sha256, pixels ('' where it was not computed) and patient ('' where unknown).
        lists: see `read_lists`.
    """
    facts = ["label", "patient", "series", "duplicate_id", "orientation", "group"]
    known = lists.replace("", np.nan)  # an image may have several rows: of each column, the first value counts
    by_file, by_pixels = known.groupby("sha256")[["pixels", *facts]].first(), known.groupby("pixels")[facts].first()
    rows = by_file.reindex(index["sha256"]).set_index(index.index)
    rows = rows.where(rows["group"].notna(), by_pixels.reindex(index["pixels"]).set_index(index.index))
    listed = rows["group"].notna()
    rows = rows.rename(columns={"patient": "listed_patient"}).assign(path=index["path"], sha256=index["sha256"])
    rows = rows.fillna("")
    rows["pixels"] = rows["pixels"].where(rows["pixels"] != "", index["pixels"])
    rows["patient"] = index["patient"].where(index["patient"] != "", rows["listed_patient"])
    return Lookup(rows, index.loc[~listed, "path"].tolist())


def relate_listed_images(rows: pd.DataFrame, subjects: Masks, others: Masks) -> pd.DataFrame:
    """Find for each image of one set the surest relation to an image of another set, by what lists say.

    Args:
        rows: see `Lookup`.
        subjects, others: (N,) masks of the rows in either set.

    Returns:
        The columns of `relations.relate_images`; without distance, correlation and images in between.
    """
    test, train = rows[subjects], rows[others]
    found: dict[int, tuple[str, str, str, str]] = {}
    for kind, key in KEYS:
        partners = dict(iter(train[train[key] != ""].groupby(key)))
        subjects_of_kind = zip(test["path"], test[key], test["orientation"], strict=True)
        for number, (path, value, orientation) in enumerate(subjects_of_kind):
            if number in found or value not in partners:
                continue
            candidates = partners[value]
            for other, base in zip(candidates["path"], candidates["orientation"], strict=True):
                transform = _turn(base, orientation) if key == "duplicate_id" else "none"
                if key != "duplicate_id" or kind == _kind_of(transform):
                    found[number] = (path, kind, other, transform)
                    break
    result = pd.DataFrame([found[number] for number in sorted(found)], columns=["path", "kind", "other", "transform"])
    return result.assign(distance=np.nan, correlation=np.nan, through="")[RELATION_COLUMNS]


@functools.cache
def _turn(first: str, second: str) -> str:
    """Return the transform that turns an image into another one, by the transforms that align each with a third."""
    composed, inverse = dihedral_tables()
    numbers = {name: number for number, name in enumerate(TRANSFORMS)}
    return TRANSFORMS[composed[numbers[first or "none"], inverse[numbers[second or "none"]]]]


def _kind_of(transform: str) -> str:
    return "near" if transform == "none" else "rotated" if transform.startswith("rotate") else "mirrored"
