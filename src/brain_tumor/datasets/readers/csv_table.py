"""Reading images that a CSV table of the user lists."""

import codecs
import csv
import io
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath, PureWindowsPath
from types import MappingProxyType
from typing import NamedTuple

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.archive_limits import describe_inner_archives
from brain_tumor.datasets.readers.contrasts import ImageReader
from brain_tumor.datasets.readers.files import Files, normalize_name
from brain_tumor.datasets.readers.image_counts import ImageCounts
from brain_tumor.datasets.readers.table_columns import REQUIRED_COLUMNS, count_known_columns, name_columns
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.imaging.boxes import clip_boxes, format_boxes, parse_boxes
from brain_tumor.imaging.image_size import read_size
from brain_tumor.imaging.volumes import AXES
from brain_tumor.parallel import progress

DELIMITERS = (",", ";", "\t")
AGE = re.compile(r"\d{1,3}(\.\d{1,4})?", re.ASCII)
# A first line that some versions of Excel need.
STATED_DELIMITER = re.compile(r"""["']?sep=([^\w\s"']|\t)["']?[ ,;\t]*(?=[\r\n])""", re.IGNORECASE)
ZERO_WIDTH = dict.fromkeys((0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF))  # characters that are not visible
JOINERS = "\u200c\u200d"  # not visible either, but they have a meaning inside a word
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class TableRules(NamedTuple):
    """What a table may contain.

    Attributes:
        required: columns that it must have, and without empty cells: `path`, or `path` and `label`.
        splits: what the cells of `split` mean (train, test or '', for neither), by cell.
    """

    required: Collection[str] = REQUIRED_COLUMNS
    splits: Mapping[str, str] = MappingProxyType({"": "", "train": "train", "test": "test"})


STRICT = TableRules()


class Row(NamedTuple):
    """A row of a table: its line in the file, and its values by column."""

    line: int
    values: dict[str, str]


def read_by_table(files: Files, name: str, skipped: SkippedFiles, rules: TableRules = STRICT) -> Iterator[RawImage]:
    """Yield the images that a CSV table lists, in the order of their paths.

    Required columns are `path` (relative to the archive or folder) and `label`. Optional columns are `split` (train,
    test or empty), `patient`, `plane`, `mask` (a path), `fold`, `box` (as `brain_tumor.imaging.boxes` parses it),
    `site`, `age` (in years) and `sex`. Other common names of columns are understood, see
    `brain_tumor.datasets.readers.table_columns`; a log message names columns that are ignored.

    Args:
        files: the archive or folder.
        name: path of the table in it: CSV with a header, in UTF-8 or UTF-16, with commas, semicolons or tabs.
        skipped: every file that is not yielded as an image is added to it.
        rules: what the table may contain.

    Raises:
        UserError: a table that is missing or not CSV, or a row that cannot be used; the message has its line number.
    """
    source = f"{files.path}: {name}"
    paths = _Paths(files)
    table = paths.find(name)
    if not table:
        hint = describe_inner_archives(files.names(), files.path)
        raise UserError(f"{source} was not found: the table of images is missing. {hint}".rstrip(" ."))
    rows = [
        _check(row, paths, f"{source}, line {row.line}", rules)
        for row in parse_table(files.read(table), source, rules.required)
    ]
    if not rows:
        raise UserError(f"{source} lists no image")
    _reject_duplicates(rows, source)
    reader = ImageReader(files)
    _skip_others(files, table, rows, skipped, reader)
    rows.sort(key=lambda row: row.values["path"])
    counts = ImageCounts()
    for row in progress(rows, f"reading {files.path.name}", len(rows), "file"):
        metadata = {column: value for column, value in row.values.items() if column not in ("path", "mask")}
        content, reason = reader.read(row.values["path"])
        if reason:
            skipped.add(row.values["path"], reason)
            continue
        mask = reader.read(row.values["mask"])[0] if row.values.get("mask") else None
        if box := metadata.get("box"):
            metadata["box"] = _clip(box, content, row.values["path"], counts)
        yield RawImage(row.values["path"], content, mask=mask, **metadata)
    counts.log_all(source)
    _require_images(rows, source, skipped)


def _clip(text: str, content: bytes, path: str, counts: ImageCounts) -> str:
    """Return boxes without their parts outside the image; unchanged where its size is known only after conversion."""
    size = read_size(content)
    if size is None:
        return text
    boxes, clipped = parse_boxes(text), clip_boxes(text, *size)
    if clipped == format_boxes(boxes):
        return text
    counts.add("images with boxes that are partly or wholly outside, clipped", path)
    counts.add("boxes outside the image or without area, left out", path, len(boxes) - len(parse_boxes(clipped)))
    return clipped


def _require_images(rows: list[Row], source: str, skipped: SkippedFiles) -> None:
    """Raise a UserError unless each label has a file that was not skipped, by the caller either."""
    by_label: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_label[row.values["label"]].append(row)
    for label, own in by_label.items():
        if all(skipped.reason(row.values["path"]) for row in own):
            path = own[0].values["path"]
            raise UserError(
                f"{source}: none of the {len(own)} files with the label {label!r} is an image (line {own[0].line}, "
                f"{path}: {skipped.reason(path)})"
            )


def parse_table(content: bytes, source: str, required: Collection[str] = REQUIRED_COLUMNS) -> Iterator[Row]:
    """Yield the rows of a CSV table with the meanings of their columns; blank rows are left out.

    Args:
        content: bytes of the table.
        source: name of the table in messages.
        required: columns that the table must have.

    Raises:
        UserError: not a CSV table, or see `name_columns`.
    """
    text = _decode(content, source)
    if stated := STATED_DELIMITER.match(text):
        delimiter, text = stated[1], text[stated.end() :]  # the line break stays, so that lines keep their numbers
    else:
        delimiter = max(DELIMITERS, key=lambda sign: count_known_columns(_first_row(text, sign)))
    columns: list[str] = []
    for line, cells in _split(text, delimiter, source):
        if not columns:
            columns = name_columns(cells, source, required)
        elif len(cells) > len(columns):
            raise UserError(f"{source}, line {line} has {len(cells)} cells, but the header {len(columns)}")
        else:
            cells += [""] * (len(columns) - len(cells))
            values = {column: cell for column, cell in zip(columns, cells, strict=True) if column}
            yield Row(line, values | {"label": " ".join(values.get("label", "").split())})
    if not columns:
        raise UserError(f"{source} is not a CSV table: it is empty")


class _Paths:
    """The names of the files of a source, found by the paths that a table states."""

    def __init__(self, files: Files) -> None:
        self._files = files
        names = files.names()
        self._names = {_clean_cell(normalize_name(name)): name for name in names}
        self._names |= {normalize_name(name): name for name in names} | {name: name for name in names}

    def find(self, path: str) -> str:
        """Return the name of a file, '' if there is none.

        Backslashes may separate folders, and an absolute path may lead into the folder of the source.
        """
        posix = path.replace("\\", "/")
        root = f"{self._files.path.resolve().as_posix()}/"
        candidates = (path, normalize_name(posix), normalize_name(PurePosixPath(posix).as_posix()))
        inside = normalize_name(posix.removeprefix(root)) if posix.startswith(root) else ""
        return next((self._names[name] for name in (*candidates, inside) if name in self._names), "")

    def describe_missing(self, path: str) -> str:
        """Return why there is no file with this path, and what may be meant."""
        if PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute():
            return f"is absolute: write paths relative to {self._files.path}"
        if reason := self._files.left_out().get(path):
            return f"cannot be used: {reason}"
        similar = (name for name in self._names.values() if name.casefold().endswith(path.casefold().split("/")[-1]))
        nearest = min(similar, key=lambda name: (name.casefold() != path.casefold(), len(name)), default="")
        advice = f" (did you mean '{nearest}'?)" if nearest else ""
        inner = describe_inner_archives(self._files.names(), self._files.path)
        return f"does not exist{advice}{inner and f'. {inner}'} {self._files.hint}".rstrip()


def _check(row: Row, paths: _Paths, line: str, rules: TableRules) -> Row:
    """Return a row with the names of its files; raises a UserError that starts with `line` if it cannot be used."""
    values = dict(row.values)
    for column in ("path", "mask"):
        value = values.get(column, "")
        if not value and column == "path":
            raise UserError(f"{line}: the path is empty")
        if value:
            values[column] = paths.find(value)
            if not values[column]:
                raise UserError(f"{line}: {column} '{value}' {paths.describe_missing(value)}")
    if not values["label"] and "label" in rules.required:
        raise UserError(f"{line}: the label is empty")
    try:
        parse_boxes(values.get("box", ""))
    except ValueError as error:
        raise UserError(f"{line}: {error}") from None
    if values.get("age") and not AGE.fullmatch(values["age"]):
        raise UserError(f"{line}: age '{values['age']}' is not a number of years")
    values |= {"plane": values["plane"].casefold()} if "plane" in values else {}
    if values.get("plane") and values["plane"] not in AXES:
        raise UserError(f"{line}: plane '{row.values['plane']}' is none of {', '.join(sorted(AXES))}, and not empty")
    split = values.get("split", "")
    if split not in rules.splits:
        known = ", ".join(dict.fromkeys(name.lower() for name in rules.splits if name))
        raise UserError(f"{line}: split '{split}' is neither empty nor one of {known}")
    return Row(row.line, values | ({"split": rules.splits[split]} if split else {}))


def _reject_duplicates(rows: list[Row], source: str) -> None:
    """Raise a UserError for a file that is listed twice."""
    lines: dict[str, int] = {}
    for row in rows:
        first = lines.setdefault(row.values["path"], row.line)
        if first != row.line:
            raise UserError(f"{source}, lines {first} and {row.line} both list '{row.values['path']}': remove one")


def _skip_others(files: Files, table: str, rows: list[Row], skipped: SkippedFiles, reader: ImageReader) -> None:
    """Add to `skipped` every file that the table does not list as an image, with the reason."""
    for name, reason in files.left_out().items():
        skipped.add(name, reason)
    images = {row.values["path"] for row in rows}
    masks = {row.values.get("mask", "") for row in rows}
    for name in set(files.names()) - images:
        if name == table:
            skipped.add(name, "the table of images")
        elif name in masks:
            skipped.add(name, "a mask of images of this data set")
        else:
            skipped.add(name, reader.describe_header(name) or f"not listed in {table}")


def _decode(content: bytes, source: str) -> str:
    """Return the text of a table; UTF-16 needs the mark that programs write at its beginning."""
    encoding = "utf-16" if content.startswith(UTF16_MARKS) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(
            f"{source} is not a CSV table in UTF-8 or UTF-16 ({error.reason} at byte {error.start}): save it as UTF-8"
        ) from None


def _first_row(text: str, delimiter: str) -> list[str]:
    """Return the header as far as it can be read with a delimiter."""
    try:
        return next((row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if any(row)), [])
    except csv.Error:
        return []


def _split(text: str, delimiter: str, source: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the first line and the cells of each row; blank rows are left out.

    Cells are normalized (NFC), without blanks around them and without characters of no width; empty ones at the end
    of the row are cut off.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for row in reader:
            cells = [_clean_cell(unicodedata.normalize("NFC", cell)) for cell in row]
            while cells and not cells[-1]:
                cells.pop()
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{source} is not a CSV table: line {line}: {error}") from None


def _clean_cell(text: str) -> str:
    """Return text without blanks around it and without characters of no width."""
    return text.translate(ZERO_WIDTH).strip().strip(JOINERS).strip()
