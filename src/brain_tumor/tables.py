"""Images listed in a table of the user's own."""

import io
import logging
import re
from collections.abc import Iterator

import pandas as pd

from brain_tumor.archive import RawImage
from brain_tumor.errors import UserError
from brain_tumor.parallel import progress
from brain_tumor.zips import Files

log = logging.getLogger(__name__)
NEEDED = ("path", "label")
KNOWN = (*NEEDED, "split", "patient", "plane", "mask", "fold", "box", "site", "age", "sex")
SPLITS = ("", "train", "test")
BOX = re.compile(r"\d{1,6}( \d{1,6}){3}(;\d{1,6}( \d{1,6}){3})*", re.ASCII)
AGE = re.compile(r"\d{1,3}(\.\d{1,4})?", re.ASCII)


def by_table(files: Files, name: str) -> Iterator[RawImage]:
    """Yield the images that the CSV file `name` lists, in the order of their paths.

    Columns `path` (from the place of the files, `/` between folders) and `label`; where they are known
    `split` (train or test), `patient`, `plane`, `mask` (a path), `fold`, `box`, `site`, `age` and `sex`.
    Other columns are passed over with a word.

    Raises:
        UserError: no such table, or one with a row that cannot be used; the row is named.
    """
    place = f"{files.place}: {name}"
    there = set(files.names())
    if name not in there:
        raise UserError(f"{place} is not there: it is to list the images")
    try:
        table = pd.read_csv(io.BytesIO(files.read(name)), dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except ValueError as error:  # pandas' own errors and wrong encodings are ValueErrors
        raise UserError(f"{place} is no CSV table in UTF-8 ({error})") from None
    lacking = [column for column in NEEDED if column not in table]
    if lacking:
        raise UserError(f"{place} has no column {', '.join(lacking)} (it has {', '.join(table.columns)})")
    said = [{str(key): str(value) for key, value in row.items()} for row in table.to_dict("records")]
    if not said:
        raise UserError(f"{place} lists no image")
    for number, row in enumerate(said, start=2):
        _require_usable(f"{place}, line {number}", row, there)
    ignored = sorted(set(table.columns) - set(KNOWN))
    if ignored:
        log.info("%s: not used: the columns %s", place, ", ".join(ignored))
    rows = sorted(said, key=lambda row: row["path"])
    for row in progress(rows, f"reading {files.place.name}", len(rows), "file"):
        known = {key: value for key, value in row.items() if key in KNOWN and key not in ("path", "mask")}
        mask = files.read(row["mask"]) if row.get("mask") else None
        yield RawImage(row["path"], files.read(row["path"]), mask=mask, **known)


def _require_usable(line: str, row: dict[str, str], there: set[str]) -> None:
    for column in ("path", "mask"):
        value = row.get(column, "")
        if value not in there and (value or column == "path"):
            raise UserError(f"{line}: {column} '{value}' is no file there")
    if not row["label"]:
        raise UserError(f"{line}: the label is empty")
    if row.get("box") and not BOX.fullmatch(row["box"]):
        raise UserError(f"{line}: box '{row['box']}' is not `left top width height` in pixels, several joined by ;")
    if row.get("age") and not AGE.fullmatch(row["age"]):
        raise UserError(f"{line}: age '{row['age']}' is no number of years")
    if row.get("split", "") not in SPLITS:
        raise UserError(f"{line}: split '{row['split']}' is neither train nor test nor empty")
