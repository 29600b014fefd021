"""Any folder of images as a data set, and the audit's command line for it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from heads import head, png

from brain_tumor.copies import turn
from brain_tumor.errors import UserError
from brain_tumor.folders import FolderFiles, index_images

AUDIT = Path(__file__).parents[1] / "src/audit.py"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "Training/sick/1.PNG": png(head(1)),
        "Training/sick/2.jpg": b"no image",
        "Testing/sick/1 again.png": png(turn(head(1), 4)),
        "Testing/well/3.png": png(head(3)),
        "Testing/loose.png": png(head(4)),
        "notes.txt": b"not looked at",
        ".hidden/5.png": png(head(5)),
    }
    for name, content in files.items():
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "images"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(AUDIT), *words], capture_output=True, text=True, env={**os.environ, "WORKERS": "1"}
    )


def test_folders_name_split_and_label(folder: Path) -> None:
    index = index_images(FolderFiles(folder))
    assert index[["path", "label", "split"]].to_numpy().tolist() == [
        ["Testing/loose.png", "", "test"],
        ["Testing/sick/1 again.png", "sick", "test"],
        ["Testing/well/3.png", "well", "test"],
        ["Training/sick/1.PNG", "sick", "train"],
        ["Training/sick/2.jpg", "sick", "train"],
    ]
    assert FolderFiles(folder).read("Training/sick/2.jpg") == b"no image"


def test_a_folder_that_is_none_or_has_no_image_is_an_error(tmp_path: Path) -> None:
    assert "is no folder" in run("--folder", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")).stderr
    with pytest.raises(UserError, match="no image below"):
        index_images(FolderFiles(tmp_path))


def test_the_audit_of_a_folder_needs_no_recipe(folder: Path, tmp_path: Path) -> None:
    before = sorted(folder.rglob("*"))
    done = run("--folder", str(folder), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "1 of 3 test images have a copy in training (1 only mirrored or rotated)" in done.stderr
    assert "Training/sick/2.jpg: unreadable" in done.stderr
    counts = json.loads((tmp_path / "out/audit.json").read_text())
    assert (counts["images"], counts["distinct_images"]) == (5, 4)
    links = pd.read_csv(tmp_path / "out/links.csv")
    assert links["kind"].tolist() == ["mirrored"]
    assert len(pd.read_csv(tmp_path / "out/audit.csv")) == 5
    assert (tmp_path / "out/audit.png").stat().st_size > 5000
    assert sorted(folder.rglob("*")) == before


def test_linked_folders_are_entered_once_and_hidden_files_left_out(tmp_path: Path) -> None:
    for name in ("elsewhere/1.png", "images/a/2.png", "images/a/.hidden.png", "images/.git/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png(head(1)))
    (tmp_path / "images/b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "images/a/back").symlink_to(tmp_path / "images")
    assert FolderFiles(tmp_path / "images").names() == ["a/2.png", "b/1.png"]


def test_the_first_folder_is_the_label_and_validation_is_learned_from(tmp_path: Path) -> None:
    for name in ("glioma/patient 1/a.png", "valid/none/b.png", "none/test/c.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(png(head(1)))
    index = index_images(FolderFiles(tmp_path)).set_index("path")
    assert index["label"].to_dict() == {
        "glioma/patient 1/a.png": "glioma", "valid/none/b.png": "none", "none/test/c.png": "none",
    }  # fmt: skip
    assert index["split"].tolist() == ["", "test", "train"]


def test_any_name_can_be_shown_and_a_bad_place_for_results_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "in $put$"
    for name in ("a/x$\\foo$.png", "b/y_{^.png"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(png(head(1)))
    assert run("--folder", str(folder), "--out", str(tmp_path / "out")).returncode == 0
    inside = run("--folder", str(folder), "--out", str(folder / "out"))
    assert inside.returncode == 1
    assert "lies in the folder itself" in inside.stderr
    (tmp_path / "file").touch()
    assert "is a file" in run("--folder", str(folder), "--out", str(tmp_path / "file")).stderr


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--help"], 0, "any folder of images"),
        ([], 2, "name a data set, or give --folder and --out"),
        (["--folder", "x"], 2, "name a data set, or give --folder and --out"),
        (["--folder", "/nowhere/at/all", "--out", "x"], 1, "error: /nowhere/at/all is no folder"),
        (["nothing"], 1, "params.yaml has no data set nothing (known: phantom"),
    ],
)
def test_the_command_line_says_what_it_wants(words: list[str], code: int, says: str, tmp_path: Path) -> None:
    done = run(*words)
    assert done.returncode == code
    assert says in " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in done.stderr
