"""Folders, archives and tables as one collection of images."""

import io
import logging
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain_tumor.audit.transforms import apply_transform
from brain_tumor.commands.audit import main
from brain_tumor.commands.inputs import Inputs, ReadOptions, open_inputs
from brain_tumor.core.errors import UserError
from clinical_files import make_body, make_dicom, make_nifti
from heads import head, png

FILES = {"a/1.png": png(head(1)), "b/2.png": png(head(2)), "b/v.nii": make_nifti(make_body()), "notes.txt": b"text"}


@pytest.fixture(autouse=True)
def in_one_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORKERS", "1")
    monkeypatch.chdir(tmp_path)


def write(folder: str, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
        (Path(folder) / name).write_bytes(content)
    return Path(folder)


def write_zip(path: str, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return Path(path)


def write_tar(path: str, files: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as file:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return Path(path)


def read_all(inputs: Inputs) -> dict[str, tuple[str, str, bytes]]:
    rows = inputs.index[["path", "label", "patient"]].itertuples(index=False, name=None)
    return {path: (label, patient, inputs.images.read(path)) for path, label, patient in rows}


def test_open_inputs_folder_and_archives_give_the_same_images() -> None:
    sources = [write("folder", FILES), write_zip("files.zip", FILES), write_tar("files.tar.gz", FILES)]
    found = []
    for source in sources:
        with open_inputs([source], ReadOptions()) as inputs:
            found.append(read_all(inputs))
            assert inputs.skipped.table().to_numpy().tolist() == [["notes.txt", "a text file"]]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 2 + 5
    assert found[0]["a/1.png"] == ("a", "", FILES["a/1.png"])


@pytest.mark.parametrize("make", [write, write_zip], ids=["folder", "zip"])
def test_open_inputs_knows_the_file_of_each_image_that_is_the_only_one_of_its_file(make: Callable[..., Path]) -> None:
    dicom = make_dicom(head(1).astype(np.int16))
    files = {"a/IM1": dicom, "a/IM1.png": png(head(2)), "a/x.dcm": dicom, "a/x.007": dicom, "b/v.nii": FILES["b/v.nii"]}
    files |= {"a/plain.003.png": png(head(4)), "a/plain": png(head(5)), "b/new\nline.png": png(head(6))}
    with open_inputs([make("source" if make is write else "source.zip", files)], ReadOptions()) as inputs:
        assert len(inputs.index) == 7 + 5
        assert inputs.files == {
            "a/IM1.png (converted)": "a/IM1", "a/IM1.png": "a/IM1.png", "a/x.dcm.png": "a/x.dcm",
            "a/x.007.png": "a/x.007", "a/plain.003.png": "a/plain.003.png", "a/plain": "a/plain",
            "b/new\\nline.png": "b/new\nline.png",
        }  # fmt: skip


def test_open_inputs_table_needs_no_labels_and_knows_all_names_of_splits() -> None:
    write("folder", FILES)
    Path("folder/t.csv").write_text("file,partition,subject\na\\1.png,VAL,P1\nb/2.png,Testing,\n")
    with open_inputs([Path("folder/t.csv")], ReadOptions()) as inputs:
        columns = inputs.index[["path", "label", "split", "patient"]].to_numpy().tolist()
        assert columns == [["a/1.png", "", "train", "P1"], ["b/2.png", "", "test", ""]]
        assert inputs.images.read("a/1.png") == FILES["a/1.png"]
        assert len(inputs.skipped.table()) == 3


@pytest.mark.parametrize("shared", [False, True])
def test_open_inputs_several_sources_keep_their_names_and_patients(shared: bool) -> None:
    for folder in ("x/data set", "y/data set"):
        write(folder, {"1.png": FILES["a/1.png"], "t.csv": b"path,patient\n1.png,P1\n"})
    sources = [Path("x/data set/t.csv"), Path("y/data set/t.csv"), write("x/data set", {})]
    with open_inputs(sources, ReadOptions(), shared) as inputs:
        assert list(inputs.sources) == ["t.csv", "t.csv-2", "data_set"]
        assert inputs.index["path"].tolist() == ["data_set/1.png", "t.csv-2/1.png", "t.csv/1.png"]
        expected = ["", "P1", "P1"] if shared else ["", "t.csv-2/P1", "t.csv/P1"]
        assert inputs.index["patient"].tolist() == expected
        assert all(inputs.images.read(path) == FILES["a/1.png"] for path in inputs.index["path"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing", None, "missing does not exist"),
        ("x.zip", b"PK\x03\x04", "x.zip cannot be read as a zip archive"),
        ("x.7z", b"7z\xbc\xaf\x27\x1c", "x.7z is a 7z archive"),
        ("x.png", FILES["a/1.png"], "x.png is an image, not a zip or tar archive: name the folder that contains it"),
        ("x.xlsx", b"PK\x03\x04", "x.xlsx is not a CSV table: save it as CSV"),
        ("x.tsv", b"path\tlabel\n", "x.tsv is not a CSV table: save it as CSV"),
        ("x.csv", b"name,label\n", "has no column path"),
        ("x.csv", b"path\nno.png\n", "line 2: path 'no.png' does not exist"),
        ("x.csv", b"path,split\nx.csv,middle\n", "split 'middle' is neither empty nor one of train, training, val"),
    ],
)
def test_open_inputs_unusable_source_is_an_error(name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    with pytest.raises(UserError) as caught, open_inputs([Path(name)], ReadOptions()):
        pass
    assert message in str(caught.value)


def test_audit_several_sources_count_what_they_share(caplog: pytest.LogCaptureFixture) -> None:
    write("one", {f"a/{seed}.png": png(head(seed)) for seed in (1, 2, 3)})
    write_zip("two.zip", {"b/x.png": png(apply_transform(head(2), 4)), "b/y.png": png(head(9))})
    with caplog.at_level(logging.INFO):
        assert main(["one", "two.zip", "--out", "out"]) == 0
    assert "one: 1 of 3 images have a duplicate in two.zip" in caplog.messages
    assert "two.zip: 1 of 2 images have a duplicate in one" in caplog.messages
    table = pd.read_csv("out/audit.csv", keep_default_na=False).set_index("path")
    assert table["duplicate_in"].to_dict() == {
        "one/a/1.png": "", "one/a/2.png": "two.zip", "one/a/3.png": "", "two.zip/b/x.png": "one", "two.zip/b/y.png": "",
    }  # fmt: skip
