"""The user's own files in an archive or a folder: listed by a layout or by a table."""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import RawImage, write_archive
from brain_tumor.datasets.readers.csv_table import read_by_table
from brain_tumor.datasets.readers.files import Files
from brain_tumor.datasets.readers.folder import FolderFiles
from brain_tumor.datasets.readers.layout import Layout, read_by_layout
from brain_tumor.datasets.readers.open_archive import open_archive
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.imaging.decode import decode_gray
from brain_tumor.imaging.formats import is_hidden
from brain_tumor.sources import archive, folder
from clinical_files import RAMP, make_body, make_dicom, make_nifti, make_report
from figshare_service import make_zip
from heads import head, png
from tar_files import make_tar

LAYOUT = {"path": "{label}/{file}", "labels": {"a": "sick", "b": "well"}}
TABLE = """path,label,split,patient,mask,site,age,sex,scanner
x/2.png,well,test,p2,,north,61,F,old
x/1.png,sick,train,p1,m/1.png,south,,M,new
"""
MASK = np.pad(np.ones((20, 30), np.uint8), ((30, 46), (30, 44)))  # of the size of a head, 0 and 1
FILES = {"x/1.png": png(head(1)), "x/2.png": png(head(2)), "m/1.png": png(MASK), "images.csv": TABLE.encode()}
SMALL = png(np.ones((30, 40), np.uint8))

Load = Callable[..., list[RawImage]]


@pytest.fixture(params=["zip", "tar.gz", "folder"])
def load(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """A function that writes files to an archive or a folder, and reads them with the source of that kind."""
    monkeypatch.setenv("DATA_ARCHIVES", str(tmp_path))

    def write_and_read(
        files: dict[str, bytes], block: dict[str, Any], skipped: SkippedFiles | None = None
    ) -> list[RawImage]:
        skipped = skipped or SkippedFiles()
        if request.param != "folder":
            if request.param == "tar.gz":
                (tmp_path / "mine.zip").write_bytes(make_tar(files, "gz"))
            else:
                (tmp_path / "mine.zip").write_bytes(make_zip(files))
            packed = archive.Source.model_validate({"kind": "archive", "file": "mine.zip", **block})
            return list(archive.images(packed, tmp_path / "scratch", skipped))
        for name, content in files.items():
            (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "mine" / name).write_bytes(content)
        source = folder.Source.model_validate({"kind": "folder", "path": "mine", **block})
        return list(folder.images(source, tmp_path, skipped))

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
    files = {"a/1": make_dicom(RAMP), "b/v.nii": make_nifti(make_body())}
    images = load(files, {"layout": LAYOUT, "volumes": {"plane": "coronal", "count": 2}})
    assert [image.path for image in images] == ["a/1.png", "b/v.nii.coronal-003.png", "b/v.nii.coronal-020.png"]
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
        list(module.images(source, tmp_path, SkippedFiles()))


@pytest.mark.parametrize(("module", "key"), [(archive, "file"), (folder, "path")])
def test_user_files_empty_name_is_rejected(module: Any, key: str) -> None:
    kind = module.__name__.rpartition(".")[2]
    with pytest.raises(ValidationError, match="at least 1 character"):
        module.Source.model_validate({"kind": kind, key: "", "table": "t.csv"})


@pytest.mark.parametrize("changes", [{}, {"layout": LAYOUT, "table": "t.csv"}])
def test_user_files_neither_or_both_of_layout_and_table_are_rejected(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="set either `layout` or `table`"):
        archive.Source.model_validate({"kind": "archive", "file": "x", **changes})


def read_dicoms(load: Load, caplog: pytest.LogCaptureFixture, ids: list[str], **block: Any) -> tuple[set[str], str]:
    """Return the patients of DICOM files with the given ids in their headers, and the warnings."""
    caplog.clear()
    files = {f"a/{number}/i": make_dicom(RAMP, PatientID=id) for number, id in enumerate(ids)}
    layout = {"path": "{label}/*/{file}", "labels": {"a": "sick"}} | block.pop("layout", {})
    return {image.patient for image in load(files, {"layout": layout} | block)}, caplog.text


def test_user_files_one_patient_in_all_headers_is_noticed(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    patients, warnings = read_dicoms(load, caplog, ["Anonymous"] * 3)
    assert len(patients) == 1
    assert f"the headers of all 3 DICOM files name one patient ({patients.pop()}): they form one group" in warnings
    assert "`patient_from_header: false`" in warnings


@pytest.mark.parametrize(
    ("ids", "block", "count"),
    [
        (["Anonymous"] * 2, {}, 1),
        (["17", "17", "17", "other"], {}, 2),
        (["Anonymous", "Anonymous", "other"], {}, 2),
        (["Anonymous"] * 3, {"patient_from_header": False}, 1),
        (["Anonymous"] * 3, {"layout": {"path": "{label}/{patient}/{file}"}}, 3),
        ([""] * 3, {}, 1),
    ],
)
def test_user_files_other_patients_are_not_warned_of(
    load: Load, caplog: pytest.LogCaptureFixture, ids: list[str], block: dict[str, Any], count: int
) -> None:
    patients, warnings = read_dicoms(load, caplog, ids, **block)
    assert len(patients) == count
    assert "name one patient" not in warnings
    assert "name a placeholder" not in warnings
    assert block != {"patient_from_header": False} or patients == {""}


@pytest.mark.parametrize(
    "ids",
    [
        ["Anonymous", "anonymous ", "ANONYMOUS"],
        [*["Anonymous"] * 6, "17"],
        ["0000", "0000", "0000", "17"],
        [*["No Name"] * 3, "17", "18"],
    ],
)
def test_user_files_placeholder_as_patient_is_noticed(
    load: Load, caplog: pytest.LogCaptureFixture, ids: list[str]
) -> None:
    _, warnings = read_dicoms(load, caplog, ids)
    count = sum(not name.startswith("1") for name in ids)
    assert f"the headers of {count} DICOM files name a placeholder as their patient, such as Anonymous" in warnings


def test_user_files_placeholder_beside_a_volume_is_noticed(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    files = {f"a/{number}": make_dicom(RAMP, PatientID="Anonymous") for number in range(3)}
    layout = {"path": "{label}/{file}", "labels": {"a": "sick"}}
    load(files | {"a/v.nii": make_nifti(make_body())}, {"layout": layout})
    assert "the headers of 3 DICOM files name a placeholder" in caplog.text


@pytest.mark.parametrize("layout", [True, False])
def test_user_files_class_that_vanishes_in_the_conversion_is_an_error(load: Load, layout: bool) -> None:
    files = {"a/1.png": SMALL, "b/report": make_report(), "t.csv": b"path,label\na/1.png,sick\nb/report,well\n"}
    with pytest.raises(UserError, match=r"b/report: a DICOM file without an image"):
        load(files, {"layout": LAYOUT} if layout else {"table": "t.csv"})
    skipped = SkippedFiles()
    files |= {"b/2.png": SMALL, "t.csv": files["t.csv"] + b"b/2.png,well\n"}
    assert len(load(files, {"layout": LAYOUT} if layout else {"table": "t.csv"}, skipped)) == 2
    assert skipped.reason("b/report") == "a DICOM file without an image"


def test_user_files_corrupted_image_of_a_class_stays_an_image(load: Load) -> None:
    images = load({"a/1.png": SMALL, "b/2.dcm": make_dicom(RAMP)[:400]}, {"layout": LAYOUT})
    assert [image.path for image in images] == ["a/1.png", "b/2.dcm"]


def test_user_files_converted_image_with_the_name_of_another_is_renamed(load: Load, tmp_path: Path) -> None:
    files = {"a/1.dcm": make_dicom(RAMP), "a/1.dcm.png": SMALL, "a/1.dcm.png (converted)": SMALL, "b/2.png": SMALL}
    images = load(files, {"layout": LAYOUT})
    assert [image.path for image in images] == [
        "a/1.dcm.png (converted) (converted)", "a/1.dcm.png", "a/1.dcm.png (converted)", "b/2.png",
    ]  # fmt: skip
    write_archive(tmp_path / "raw.zip", images)


@pytest.mark.parametrize("block", [{"layout": LAYOUT}, {"table": "t.csv"}])
def test_user_files_archives_among_the_files_are_named_if_something_is_missing(
    load: Load, block: dict[str, Any]
) -> None:
    files = {"README.txt": b"see inner.zip", "inner.zip": make_zip({"a/1.png": SMALL})}
    files |= {"t.csv": b"path,label\na/1.png,sick\n"}
    with pytest.raises(UserError, match=r"It contains inner.zip, .*whose files are not read: unpack"):
        load(files, block)


@pytest.mark.parametrize("block", [{"layout": LAYOUT}, {"table": "t.csv"}])
def test_user_files_missing_images_without_archives_are_not_said_to_be_in_one(
    load: Load, block: dict[str, Any]
) -> None:
    with pytest.raises(UserError, match=r"has no file that matches|does not exist") as caught:
        load({"README.txt": b"", "t.csv": b"path,label\na/1.png,sick\n"}, block)
    assert "It contains" not in str(caught.value)


def test_user_files_layout_patient_overrides_the_header(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    patients, _ = read_dicoms(load, caplog, ["x", "y"], layout={"path": "{label}/{patient}/{file}"})
    assert patients == {"0", "1"}


def test_user_files_contrasts_of_one_head_are_one_patient_with_its_mask(load: Load) -> None:
    body = make_body()
    files = {f"a/B_001_{name}.nii": make_nifti(body) for name in ("t1", "FLAIR")}
    files |= {"a/B_001_seg.nii": make_nifti((body > 150).astype(np.int16)), "a/B_002_t1.nii": make_nifti(body)}
    skipped = SkippedFiles()
    layout = {"path": "{label}/{file}", "labels": {"a": "sick"}}
    images = load(files, {"layout": layout, "volumes": {"count": 2}}, skipped)
    assert [(image.patient, image.mask is not None) for image in images] == [
        ("a/B_001", True), ("a/B_001", True), ("a/B_001", True), ("a/B_001", True), ("a/B_002", False),
        ("a/B_002", False),
    ]  # fmt: skip
    assert skipped.table().to_numpy().tolist() == [["a/B_001_seg.nii", "a mask of images of this data set"]]


LABELS = {"a": "a"}
PARTS = st.sampled_from(["a", "b", "c", ".git", "__MACOSX", "gute\u0308", "gut\u00eb", " d "])
FILE_NAMES = st.sampled_from(
    ["1.png", "2.jpg", "3", "Thumbs.db", "desktop.ini", "Icon\r", ".DS_Store", "labels.txt", "v_t1.nii", "v_seg.nii",
     "p.img", "p.hdr", "1_mask.png", "\u65e5.png", "e\u0301.png"]
)  # fmt: skip
CONTENTS = st.sampled_from([FILES["x/1.png"], b"", b"hello", b"\0\1\2", b"<?xml version='1.0'?>", make_dicom(RAMP)])
TREES = st.dictionaries(
    st.tuples(st.lists(PARTS, max_size=3), FILE_NAMES).map(lambda path: "/".join([*path[0], path[1]])),
    CONTENTS,
    max_size=9,
)


@given(
    files=TREES,
    layout=st.sampled_from(["{label}/{file}", "**/{label}/{file}", "{label}/**/{file}", "*/{label}/{file}"]),
)
@pytest.mark.parametrize("kind", ["zip", "tar.gz", "folder"])
def test_user_files_every_file_is_an_image_or_has_a_reason(kind: str, files: dict[str, bytes], layout: str) -> None:
    files |= {f"{folder}a/certain.png": FILES["x/1.png"] for folder in ("", "x/")}
    skipped = SkippedFiles()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        images = list(
            read_by_layout(store(files, kind, Path(folder), stack), Layout(path=layout, labels=LABELS), skipped)
        )
    assert len(images) + len(skipped.table()) == len(files)
    assert {image.path for image in images} <= files.keys()
    assert (skipped.table()["reason"] != "").all()


@given(files=TREES, listed=st.sets(st.integers(0, 8)))
@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_user_files_every_file_beside_a_table_has_a_reason(
    kind: str, files: dict[str, bytes], listed: set[int]
) -> None:
    visible = [name for name in files if not is_hidden(name) and "\r" not in name]
    rows = [f"{name},y\n" for number, name in enumerate(visible) if number in listed]
    table = "path,label\ncertain.png,y\n" + "".join(rows)
    files |= {"certain.png": FILES["x/1.png"], "t.csv": table.encode()}
    skipped = SkippedFiles()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        images = list(read_by_table(store(files, kind, Path(folder), stack), "t.csv", skipped))
    assert len(images) + len(skipped.table()) == len(files)
    assert (skipped.table()["reason"] != "").all()


def store(files: dict[str, bytes], kind: str, folder: Path, stack: ExitStack) -> Files:
    """Write files to an archive or a folder, and open it."""
    if kind != "folder":
        (folder / "a").write_bytes(make_zip(files) if kind == "zip" else make_tar(files, "gz"))
        archive_files = open_archive(folder / "a", folder)
        stack.callback(archive_files.__exit__)
        return archive_files
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return FolderFiles(folder)
