"""The user's own files in an archive or a folder: listed by a layout or by a table."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import RawImage, write_archive
from brain_tumor.imaging.decode import decode_gray
from brain_tumor.sources import archive, folder
from clinical_files import RAMP, make_body, make_dicom, make_nifti
from heads import head, png

LAYOUT = {"path": "{label}/{file}", "labels": {"a": "sick", "b": "well"}}
TABLE = """path,label,split,patient,mask,site,age,sex,scanner
x/2.png,well,test,p2,,north,61,F,old
x/1.png,sick,train,p1,m/1.png,south,,M,new
"""
MASK = np.pad(np.ones((20, 30), np.uint8), ((30, 46), (30, 44)))  # of the size of a head, 0 and 1
FILES = {"x/1.png": png(head(1)), "x/2.png": png(head(2)), "m/1.png": png(MASK), "images.csv": TABLE.encode()}
SMALL = png(np.ones((30, 40), np.uint8))

Load = Callable[[dict[str, bytes], dict[str, Any]], list[RawImage]]


@pytest.fixture(params=["archive", "folder"])
def load(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """A function that writes files to an archive or a folder, and reads them with the source of that kind."""
    monkeypatch.setenv("DATA_ARCHIVES", str(tmp_path))

    def write_and_read(files: dict[str, bytes], block: dict[str, Any]) -> list[RawImage]:
        if request.param == "archive":
            with zipfile.ZipFile(tmp_path / "mine.zip", "w") as target:
                for name, content in files.items():
                    target.writestr(name, content)
            source = archive.Source.model_validate({"kind": "archive", "file": "mine.zip", **block})
            return list(archive.images(source, tmp_path))
        for name, content in files.items():
            (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "mine" / name).write_bytes(content)
        return list(folder.images(folder.Source.model_validate({"kind": "folder", "path": "mine", **block}), tmp_path))

    return write_and_read


def test_user_files_layout_folder_names_are_labels(load: Load) -> None:
    images = load({"a/1.png": b"1", "b/2.png": b"2", "c/3.png": b"3"}, {"layout": LAYOUT})
    assert [(image.path, image.label, image.content) for image in images] == [
        ("a/1.png", "sick", b"1"),
        ("b/2.png", "well", b"2"),
    ]


def test_user_files_table_columns_are_metadata(load: Load) -> None:
    one, two = load(FILES, {"table": "images.csv"})
    expected = RawImage("x/1.png", FILES["x/1.png"], "sick", "train", "p1", site="south", sex="M")
    assert one._replace(mask=None) == expected
    assert np.array_equal(decode_gray(one.mask or b""), 255 * MASK)
    assert two == RawImage("x/2.png", FILES["x/2.png"], "well", "test", "p2", site="north", age="61", sex="F")


def test_user_files_clinical_files_become_slices(load: Load) -> None:
    files = {"a/1": make_dicom(RAMP), "a/v.nii": make_nifti(make_body())}
    images = load(files, {"layout": LAYOUT, "volumes": {"plane": "coronal", "count": 2}})
    assert [image.path for image in images] == ["a/1.png", "a/v.nii.coronal-003.png", "a/v.nii.coronal-020.png"]
    assert [image.plane for image in images] == ["", "coronal", "coronal"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"path\nx/1.png\n", "has no column label"),
        (b"path,label\nx/9.png,a\n", "line 2: path 'x/9.png' does not exist"),
        (b"path,label\nx/1.png,\n", "line 2: the label is empty"),
        (b"path,label,split\nx/1.png,a,val\n", "split 'val' is neither"),
        (b"path,label,mask\nx/1.png,a,none.png\n", "mask 'none.png' does not exist"),
        (b"", "is not a CSV table"),
        (b'path,label\n"x', "is not a CSV table|has no column|does not exist"),
        (b"\xff\xfe\x00", "is not a CSV table"),
        (b"path,label\n", "lists no image"),
        (b"path,label,box\nx/1.png,a,hello\n", "line 2: box 'hello' is not"),
        (b"path,label,age\nx/1.png,a,-5 years\n", "line 2: age '-5 years' is not a number of years"),
        (b'path,label,patient\nx/1.png,a,"p\r1"\n', "patient has a control character"),
        (b"path,label,mask\nx/1.png,a,images.csv\n", "mask of x/1.png cannot be read"),
        (b"path,label,mask\nx/1.png,a,small.png\n", "x/1.png has 104×96 pixels, its mask 40×30"),
    ],
)
def test_user_files_invalid_table_is_an_error(load: Load, table: bytes, message: str, tmp_path: Path) -> None:
    files = FILES | {"images.csv": table, "small.png": SMALL}
    with pytest.raises(UserError, match=message):
        write_archive(tmp_path / "raw.zip", load(files, {"table": "images.csv"}))


def test_user_files_missing_table_is_an_error(load: Load) -> None:
    with pytest.raises(UserError, match=r"images\.csv was not found: the table of images is missing"):
        load({"x/1.png": b"1"}, {"table": "images.csv"})


def test_user_files_ignored_columns_are_logged(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    load(FILES, {"table": "images.csv"})
    assert "images.csv: ignored columns: scanner" in caplog.text


@pytest.mark.parametrize("kind", ["archive", "folder"])
def test_user_files_missing_source_error_names_data_archives(kind: str, tmp_path: Path) -> None:
    module: Any = {"archive": archive, "folder": folder}[kind]
    source = module.Source.model_validate({"kind": kind, "file" if kind == "archive" else "path": "no", "table": "t"})
    with pytest.raises(UserError, match=r"no was not found: .*DATA_ARCHIVES="):
        list(module.images(source, tmp_path))


@pytest.mark.parametrize("changes", [{}, {"layout": LAYOUT, "table": "t.csv"}])
def test_user_files_neither_or_both_of_layout_and_table_are_rejected(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="set either `layout` or `table`"):
        archive.Source.model_validate({"kind": "archive", "file": "x", **changes})
