"""A CSV table of images; its invalid rows are tested with the sources that read one, in test_user_files.py."""

from pathlib import Path

import pytest

from boxed_folders import make_png
from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.csv_table import read_by_table
from brain_tumor.datasets.readers.folder import FolderFiles
from brain_tumor.datasets.skipped import SkippedFiles


def read(folder: Path, table: str | bytes, skipped: SkippedFiles | None = None, *names: str) -> list[RawImage]:
    """Write a table and the files that it may list, and read it: the content of a file is its name."""
    (folder / "table.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    for name in ("a.png", "b.png", "m.png", "x/c.png", *names):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    return list(read_by_table(FolderFiles(folder), "table.csv", skipped or SkippedFiles()))


def test_read_by_table_images_are_in_order_of_path(tmp_path: Path) -> None:
    assert read(tmp_path, "label,path,mask,age\nNA,b.png,,\nno,a.png,m.png,61.5\n") == [
        RawImage("a.png", b"a.png", "no", mask=b"m.png", age="61.5"),
        RawImage("b.png", b"b.png", "NA"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_read_by_table_any_encoding_and_delimiter_is_recognized(
    tmp_path: Path, encoding: str, delimiter: str, end: str
) -> None:
    lines = ["path,label,patient", 'a.png,größer,"p;1, x"']
    text = end.join(line.replace(",", delimiter, 2) for line in lines)
    assert read(tmp_path, text.encode(encoding)) == [RawImage("a.png", b"a.png", "größer", patient="p;1, x")]


@pytest.mark.parametrize(
    "table",
    [
        "path,label\na.png,x,\nb.png,y,\n",
        "path,label,\na.png,x,\nb.png,y\n",
        "path,label\n\n\na.png,x\n  \nb.png,y\n\n",
        "\n\npath,label\na.png,x\n,\nb.png,y\n,,,\n",
        " path , label \n a.png , x \n b.png,y \n",
        "path,label,patient\na.png,x\nb.png,y\n",
    ],
)
def test_read_by_table_blanks_and_empty_cells_mean_nothing(tmp_path: Path, table: str) -> None:
    assert read(tmp_path, table) == [RawImage("a.png", b"a.png", "x"), RawImage("b.png", b"b.png", "y")]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(("first", "delimiter"), [("sep=;", ";"), ("sep=|", "|"), ('"sep=,"', ","), ("SEP=\t", "\t")])
def test_read_by_table_first_line_may_state_the_delimiter(tmp_path: Path, first: str, delimiter: str, end: str) -> None:
    table = end.join([first, "path,label", "a.png,x", "b.png,"]).replace(",", delimiter)
    with pytest.raises(UserError, match="line 4: the label is empty"):
        read(tmp_path, table)
    assert read(tmp_path, table + "y")[1] == RawImage("b.png", b"b.png", "y")


def test_read_by_table_characters_of_no_width_mean_nothing(tmp_path: Path) -> None:
    images = read(tmp_path, "path,label\na.png,low\u200b\nb.png\u200b,\ufefflow\nx/c.png,lo\u2060w\u200d\n")
    assert [image.label for image in images] == ["low"] * 3


def test_read_by_table_characters_of_no_width_in_file_names_are_found(tmp_path: Path) -> None:
    (image,) = read(tmp_path, "path,label\nq\u200b.png,x\n", None, "q\u200b.png")
    assert image.path == "q\u200b.png"


def test_read_by_table_plane_is_one_of_three_in_any_case(tmp_path: Path) -> None:
    images = read(tmp_path, "path,label,plane\na.png,x,Axial\nb.png,x,CORONAL\nx/c.png,x,\n")
    assert [image.plane for image in images] == ["axial", "coronal", ""]
    with pytest.raises(UserError, match=r"line 2: plane 'Oblique' is none of axial, coronal, sagittal"):
        read(tmp_path, "path,label,plane\na.png,x,Oblique\n")


def test_read_by_table_labels_that_differ_in_blanks_are_one(tmp_path: Path) -> None:
    images = read(tmp_path, "path,label\na.png,low  grade\nb.png,low grade \nx/c.png,lowgrade\n")
    assert [image.label for image in images] == ["low grade", "low grade", "lowgrade"]


@pytest.mark.parametrize("path", ["x\\c.png", "./x/c.png", " x/c.png", "{folder}/x/c.png", "x//c.png"])
def test_read_by_table_paths_of_other_systems_are_understood(tmp_path: Path, path: str) -> None:
    assert [image.path for image in read(tmp_path, f"path,label\n{path.format(folder=tmp_path)},x\n")] == ["x/c.png"]


def test_read_by_table_names_are_compared_normalized(tmp_path: Path) -> None:
    images = read(tmp_path, "path,label\n\u00e4.png,gut\u00e4\n", None, "a\u0308.png")
    assert [(image.path, image.label) for image in images] == [("a\u0308.png", "gut\u00e4")]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("path,label\na.png,x\nb.png,\n", r"table\.csv, line 3: the label is empty"),
        ("path,label\n,x\n", r"line 2: the path is empty"),
        ("path,label\n\n\na.png,x\n\nq.png,x\n", r"line 6: path 'q.png' does not exist"),
        ('path,label\na.png,"x\ny"\nq.png,x\n', r"line 4: path 'q.png' does not exist"),
        ("path,label\nA.PNG,x\n", r"line 2: path 'A.PNG' does not exist \(did you mean 'a.png'\?\)"),
        ("path,label\nc.png,x\n", r"line 2: path 'c.png' does not exist \(did you mean 'x/c.png'\?\)"),
        ("path,label\n/data/a.png,x\n", r"line 2: path '/data/a.png' is absolute: write paths relative to /"),
        ("path,label\nC:\\data\\a.png,x\n", r"line 2: path 'C:\\data\\a.png' is absolute"),
        ("path,label\n../a.png,x\n", r"line 2: path '../a.png' does not exist"),
        ("path,label\n.h.png,x\n", r"line 2: path '.h.png' cannot be used: a hidden file"),
        ("path,label\na.png,x\n\nb.png,y\na.png,y\n", r"lines 2 and 5 both list 'a.png': remove one"),
        ("path,label\na.png,x\nx\\c.png,x\nx/c.png,y\n", r"lines 3 and 4 both list 'x/c.png'"),
        ("path,label\na.png,x,y\n", r"line 2 has 3 cells, but the header 2"),
        ('path,label\na.png,"x\n', r"is not a CSV table: line 2: unexpected end of data"),
        ("path;label\na.png,x\n", r"line 2: path 'a.png,x' does not exist"),
        (
            b"path,label\na.png,gr\xf6\xdfer\n",
            r"not a CSV table in UTF-8 or UTF-16 \(.* at byte 19\): save it as UTF-8",
        ),
        (b"\n \n", r"is not a CSV table: it is empty"),
        (
            "path,label\nnotes.txt,x\n",
            r"none of the 1 files with the label 'x' is an image \(line 2, notes.txt: a text file\)",
        ),
    ],
)
def test_read_by_table_invalid_table_error_says_where(tmp_path: Path, table: str | bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path, table, None, ".h.png", "notes.txt")


def test_read_by_table_all_other_files_have_a_reason(tmp_path: Path) -> None:
    skipped = SkippedFiles()
    table = "path,label,mask\na.png,x,m.png\nnotes.txt,x,\nv.img,x,\n"
    assert len(read(tmp_path, table, skipped, "notes.txt", ".h.png", "v.hdr", "v.img")) == 1
    assert dict(skipped.table().to_numpy().tolist()) == {
        "table.csv": "the table of images",
        "m.png": "a mask of images of this data set",
        "b.png": "not listed in table.csv",
        "x/c.png": "not listed in table.csv",
        ".h.png": "a hidden file, or one that a system added",
        "notes.txt": "a text file",
        "v.hdr": "the header of an .img file beside it",
        "v.img": "voxels whose .hdr file cannot be used (5 bytes that are not a header of 348 or 540 bytes)",
    }


def test_read_by_table_missing_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no column path, label \(it has number, scanner\)"):
        read(tmp_path, "number,scanner\n1,x\n")


def test_read_by_table_boxes_outside_the_image_are_clipped_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (tmp_path / "i.png").write_bytes(make_png(40, 30))
    (tmp_path / "j.png").write_bytes(make_png(40, 30))
    rows = 'path,label,box\na.png,x,90 90 9 9\ni.png,x,30 20 20 20;50 0 5 5\nj.png,x,"9 9 2 2;1 2 3 4"\n'
    images = read(tmp_path, rows)
    assert [image.box for image in images] == ["90 90 9 9", "30 20 10 10", "9 9 2 2;1 2 3 4"]  # a.png is no image
    assert "images with boxes that are partly or wholly outside, clipped: 1 (first: i.png)" in caplog.text
    assert "boxes outside the image or without area, left out: 1 (first: i.png)" in caplog.text
