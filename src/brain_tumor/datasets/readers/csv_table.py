"""Reading images that a CSV table of the user lists."""

import io
import logging
import re
from collections.abc import Iterator

import pandas as pd

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.zip_archive import Files
from brain_tumor.imaging.boxes import parse_boxes
from brain_tumor.parallel import progress

log = logging.getLogger(__name__)
REQUIRED_COLUMNS = ("path", "label")
COLUMNS = (*REQUIRED_COLUMNS, "split", "patient", "plane", "mask", "fold", "box", "site", "age", "sex")
SPLITS = ("", "train", "test")
AGE = re.compile(r"\d{1,3}(\.\d{1,4})?", re.ASCII)


def read_by_table(files: Files, name: str) -> Iterator[RawImage]:
    """Yield the images that a CSV table lists, in the order of their paths.

    Required columns are `path` (relative to the archive or folder, `/` between folders) and `label`. Optional columns
    are `split` (train, test or empty), `patient`, `plane`, `mask` (a path), `fold`, `box` (as
    `brain_tumor.imaging.boxes` parses it), `site`, `age` (in years) and `sex`. Other columns are ignored, which is
    logged.

    Args:
        files: the archive or folder.
        name: path of the table in it; CSV with a header, in UTF-8.

    Raises:
        UserError: a table that is missing or not CSV, or a row that cannot be used; the message has its line number.
    """
    source = f"{files.path}: {name}"
    existing = set(files.names())
    if name not in existing:
        raise UserError(f"{source} was not found: the table of images is missing")
    try:
        table = pd.read_csv(io.BytesIO(files.read(name)), dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except ValueError as error:  # pandas' own errors and wrong encodings are ValueErrors
        raise UserError(f"{source} is not a CSV table in UTF-8 ({error})") from None
    missing = [column for column in REQUIRED_COLUMNS if column not in table]
    if missing:
        raise UserError(f"{source} has no column {', '.join(missing)} (it has {', '.join(table.columns)})")
    records = [{str(key): str(value) for key, value in row.items()} for row in table.to_dict("records")]
    if not records:
        raise UserError(f"{source} lists no image")
    for line, record in enumerate(records, start=2):
        _validate_record(f"{source}, line {line}", record, existing)
    ignored = sorted(set(table.columns) - set(COLUMNS))
    if ignored:
        log.info("%s: ignored columns: %s", source, ", ".join(ignored))
    records.sort(key=lambda record: record["path"])
    for record in progress(records, f"reading {files.path.name}", len(records), "file"):
        metadata = {key: value for key, value in record.items() if key in COLUMNS and key not in ("path", "mask")}
        mask = files.read(record["mask"]) if record.get("mask") else None
        yield RawImage(record["path"], files.read(record["path"]), mask=mask, **metadata)


def _validate_record(line: str, record: dict[str, str], existing: set[str]) -> None:
    """Raise a UserError that starts with `line` if a record cannot be used."""
    for column in ("path", "mask"):
        value = record.get(column, "")
        if value not in existing and (value or column == "path"):
            raise UserError(f"{line}: {column} '{value}' does not exist")
    if not record["label"]:
        raise UserError(f"{line}: the label is empty")
    try:
        parse_boxes(record.get("box", ""))
    except ValueError as error:
        raise UserError(f"{line}: {error}") from None
    if record.get("age") and not AGE.fullmatch(record["age"]):
        raise UserError(f"{line}: age '{record['age']}' is not a number of years")
    if record.get("split", "") not in SPLITS:
        raise UserError(f"{line}: split '{record['split']}' is neither train nor test nor empty")
