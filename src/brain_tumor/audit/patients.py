"""Tables of patients: which patient or series each image file of a data set comes from, by the hash of its content."""

import logging
import re

import numpy as np
import pandas as pd

from brain_tumor.audit.transforms import TRANSFORMS
from brain_tumor.core.errors import UserError
from brain_tumor.core.tables import read_table

log = logging.getLogger(__name__)
COLUMNS = ("sha256", "source", "patient", "series", "slice", "fold", "transform", "label")
ADDED = ("patient", "series", "fold", "source_label")  # columns that an audit has from such a table, '' if unknown
MAX_NAMED = 5  # rows named in a message


def read_patients(file: str) -> pd.DataFrame:
    """Read a table of patients.

    Args:
        file: a CSV file with the column `sha256` (of an image file, 64 hexadecimal digits, each once), `patient` or
            `series` or both (a series is of one patient), and as far as known:
            source: where the image was published first.
            slice: number of the slice there.
            fold: name of a cross-validation fold of that source; patients of different folds must be different ones.
            transform: how the image was changed, one of `transforms.TRANSFORMS`.
            label: its class in that source.

    Returns:
        All of COLUMNS as text, '' where unknown.

    Raises:
        UserError: a file that is missing or not such a table.
    """
    try:
        table = read_table(file)
    except FileNotFoundError:
        raise UserError(f"{file} is missing: datasets.<name>.patients names it") from None
    except IsADirectoryError:
        raise UserError(f"{file} is a folder, not a table: datasets.<name>.patients names it") from None
    except (ValueError, pd.errors.ParserError) as error:  # UnicodeDecodeError and EmptyDataError are ValueErrors
        raise UserError(f"{file} is not a CSV table: {error}") from None
    if unknown := [str(column) for column in table if column not in COLUMNS]:
        raise UserError(f"{file} has the unknown columns {', '.join(unknown)} (known: {', '.join(COLUMNS)})")
    if "sha256" not in table or not {"patient", "series"} & set(table):
        raise UserError(f"{file} needs the column sha256, and patient or series")
    table = table.reindex(columns=list(COLUMNS), fill_value="")
    table = table.assign(**{column: table[column].str.strip() for column in COLUMNS})
    table["sha256"] = table["sha256"].str.lower()
    problems = {
        "is not a SHA-256 of 64 hexadecimal digits": ~table["sha256"]
        .map(lambda text: re.fullmatch("[0-9a-f]{64}", text) is not None)
        .astype(bool),
        "has neither patient nor series": (table["patient"] == "") & (table["series"] == ""),
        "is listed twice": table["sha256"].duplicated(),
        f"has a transform that is none of {', '.join(TRANSFORMS)}": ~table["transform"].isin(["", *TRANSFORMS]),
        "is of a patient with images in several folds": _has_several(table, "patient", "fold"),
        "is of a series with images of several patients": _has_several(table, "series", "patient"),
    }
    for problem, rows in problems.items():
        if rows.any():
            named = ", ".join(map(repr, table.loc[rows, "sha256"].head(MAX_NAMED)))
            raise UserError(f"{file}: {rows.sum()} of {len(table)} rows: sha256 {named} {problem}")
    return table


def _has_several(table: pd.DataFrame, key: str, column: str) -> "pd.Series[bool]":
    """Return for each row whether rows with its value of `key` have several values of `column`; '' is no value."""
    counts = table[column].replace("", np.nan).groupby(table[key]).transform("nunique")
    result: pd.Series[bool] = (table[key] != "") & (counts > 1)
    return result


def add_patients(index: pd.DataFrame, patients: pd.DataFrame) -> pd.DataFrame:
    """Add patient, series, fold and source_label of a table of patients to the images of a data set.

    Args:
        index: the images, with columns path, sha256, patient, and fold if the source has folds.
        patients: see `read_patients`; rows of files that the data set does not have are ignored, and counted in the
            log.

    Raises:
        UserError: an image has one patient or fold in the data set and another one in the table.
    """
    found = patients.set_index("sha256").reindex(index["sha256"]).fillna("").set_index(index.index)
    absent = int((~patients["sha256"].isin(set(index["sha256"]))).sum())
    if absent:
        log.info(
            "%d of %d rows of the table of patients name files that are not in the data set", absent, len(patients)
        )
    result = index.assign(series=found["series"], source_label=found["label"])
    for column in ("patient", "fold"):
        own = index[column] if column in index else pd.Series("", index.index)
        differs = (own != "") & (found[column] != "") & (own != found[column])
        if differs.any():
            path = index.loc[differs, "path"].iloc[0]
            raise UserError(
                f"{path} and {differs.sum() - 1} more images have another {column} in the data set than in the table "
                f"of patients: {own[differs].iloc[0]!r} and {found.loc[differs, column].iloc[0]!r}"
            )
        result[column] = own.where(own != "", found[column])
    return result


def pass_on_to_duplicates(table: pd.DataFrame) -> pd.DataFrame:
    """Give images without patient, series, fold or source label those of their duplicates, where these agree.

    Args:
        table: with the columns `ADDED` and `duplicate_id`.

    Returns:
        The columns `ADDED`.
    """
    known = table[list(ADDED)].replace("", np.nan)
    groups = known.groupby(table["duplicate_id"])
    agreed = groups.transform("first").where(groups.transform("nunique") == 1)
    return known.fillna(agreed).fillna("")
