"""A CSV table of images; its invalid rows are tested with the sources that read one, in test_user_files.py."""

from pathlib import Path

import pytest

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.csv_table import read_by_table
from brain_tumor.datasets.readers.folder import FolderFiles


def write_table(folder: Path, content: bytes) -> FolderFiles:
    """Write a table and the files that it may list: their content is their name."""
    (folder / "table.csv").write_bytes(content)
    for name in ("a.png", "b.png", "m.png"):
        (folder / name).write_text(name)
    return FolderFiles(folder)


def test_read_by_table_images_are_in_order_of_path(tmp_path: Path) -> None:
    files = write_table(tmp_path, b"label,path,mask,age\nNA,b.png,,\nno,a.png,m.png,61.5\n")
    assert list(read_by_table(files, "table.csv")) == [
        RawImage("a.png", b"a.png", "no", mask=b"m.png", age="61.5"),
        RawImage("b.png", b"b.png", "NA"),
    ]


def test_read_by_table_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    files = write_table(tmp_path, "path,label\na.png,größer\n".encode("utf-8-sig"))
    assert [image.label for image in read_by_table(files, "table.csv")] == ["größer"]


def test_read_by_table_error_has_the_line_of_the_row(tmp_path: Path) -> None:
    files = write_table(tmp_path, b"path,label\na.png,x\nb.png,\n")
    with pytest.raises(UserError, match=r"table\.csv, line 3: the label is empty"):
        next(read_by_table(files, "table.csv"))


def test_read_by_table_missing_columns_are_named(tmp_path: Path) -> None:
    files = write_table(tmp_path, b"file,class\na.png,x\n")
    with pytest.raises(UserError, match=r"has no column path, label \(it has file, class\)"):
        next(read_by_table(files, "table.csv"))
