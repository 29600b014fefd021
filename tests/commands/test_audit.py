"""`brain-tumor audit`: the audit of any folder of images."""

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from brain_tumor.audit.transforms import apply_transform
from brain_tumor.commands.audit import FILES, main
from clinical_files import make_body, make_dicom, make_nifti
from heads import head, png

# Runs the command where packages that an audit does not need cannot be imported.
WITHOUT_TORCH = """
import sys
sys.modules.update(dict.fromkeys(("torch", "torchvision", "timm", "captum", "gradio")))
from brain_tumor.commands.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "Training/sick/1.PNG": png(head(1)),
        "Training/sick/2.jpg": b"not an image",
        "Testing/sick/1 again.png": png(apply_transform(head(1), 4)),
        "Testing/well/3.png": png(head(3)),
        "Testing/loose.png": png(head(4)),
        "notes.txt": b"ignored",
        ".hidden/5.png": png(head(5)),
    }
    write(tmp_path / "images", files)
    return tmp_path / "images"


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def audit_without_torch(*args: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_TORCH, "audit", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "WORKERS": "1"}, check=False)


def test_audit_folder_without_torch_writes_all_files(folder: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}
    out = tmp_path / "new" / "out"
    result = audit_without_torch(folder, "--out", out)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert "audit images: images: 100%" in result.stderr
    assert "Training/sick/2.jpg: unreadable: not an image file" in result.stderr
    assert "images: 5 images, 4 unique, 4 groups" in result.stderr
    assert "1 of 3 test images have a duplicate in training (1 only mirrored or rotated)" in result.stderr
    assert "images: not an image of this data set: 1 × a text file (notes.txt)" in result.stderr
    assert "images: labels: no label 1 (test 1), sick 3 (test 1, train 2), well 1 (test 1)\n" in result.stderr
    assert "\n         4  different images\n" in result.stderr
    assert "\n         1  unreadable files\n" in result.stderr
    written, found = result.stderr.splitlines()[-2:]
    assert written == f"written: {', '.join(f'{out}/{file}' for file in FILES)}"
    assert found == "found: 1 mirrored, 1 test image with a duplicate in training, 1 unreadable, 2 files left out"
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    counts = json.loads((out / "audit.json").read_text())
    assert (counts["images"], counts["unique_images"]) == (5, 4)
    links = pd.read_csv(out / "links.csv")
    assert links["kind"].tolist() == ["mirrored"]
    assert len(pd.read_csv(out / "audit.csv")) == 5
    assert pd.read_csv(out / "files.csv")["path"].tolist() == [".hidden/5.png", "notes.txt"]
    assert "data:image/jpeg;base64," in (out / "gallery.html").read_text()
    assert {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))} == before


def test_audit_error_without_torch_is_one_line_with_exit_code_1(tmp_path: Path) -> None:
    result = audit_without_torch("/nowhere/at/all", "--out", tmp_path / "out")
    assert result.returncode == 1
    assert result.stderr == "error: /nowhere/at/all does not exist\n"
    assert not (tmp_path / "out").exists()


def test_audit_names_with_special_characters_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS", "1")
    folder = tmp_path / "in $put$"
    for name in ("a/x$\\foo$.png", "b/y_{^.png"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(png(head(1)))
    assert main([str(folder), "--out", str(tmp_path / "out")]) == 0
    assert "data:image/jpeg;base64," in (tmp_path / "out/gallery.html").read_text()


def test_audit_out_inside_the_folder_is_rejected(folder: Path) -> None:
    with pytest.raises(SystemExit, match=r"^error: --out .* is inside the audited folder"):
        main([str(folder), "--out", str(folder / "out")])
    assert not (folder / "out").exists()


def test_audit_out_is_a_file_is_rejected(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match=r"^error: --out .*file is a file, and must be a folder"):
        main([str(folder), "--out", str(tmp_path / "file")])


def test_audit_folder_without_images_is_rejected_with_what_it_has(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    with pytest.raises(SystemExit, match=r"^error: no image in .*/notes, which has no files$"):
        main([str(folder), "--out", str(tmp_path / "out")])
    write(folder, {f"{number}.txt": b"text" for number in range(5)} | {"a.zip": b"PK\x03\x04", ".x": b""})
    reasons = "5 × a text file, 1 × a hidden file, or one that a system added, 1 × a zip archive or an office document"
    with pytest.raises(SystemExit) as caught:
        main([str(folder), "--out", str(tmp_path / "out")])
    assert sorted(str(caught.value).split(", which has ")[1].split(", 1 × ")) == sorted(reasons.split(", 1 × "))
    assert not (tmp_path / "out").exists()


def audit(folder: Path, out: Path, caplog: pytest.LogCaptureFixture, *options: str) -> tuple[pd.DataFrame, list[str]]:
    """Run the command in this process; return its table and its log."""
    caplog.clear()
    with caplog.at_level(logging.INFO), pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKERS", "1")
        assert main([str(folder), "--out", str(out), *options]) == 0
    return pd.read_csv(out / "audit.csv", dtype=str, keep_default_na=False), caplog.messages


def test_audit_files_of_many_kinds_are_all_accounted_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    encoded = {}
    for kind in ("JPEG", "JPEG2000"):
        buffer = io.BytesIO()
        Image.fromarray(head(1)).save(buffer, kind)
        encoded[kind] = buffer.getvalue()
    dicom, nifti = make_dicom(head(2).astype(np.int16)), make_nifti(make_body(), compress=True)
    files = {"glioma/0.png": png(head(1)), "glioma/1.jfif": encoded["JPEG"], "glioma/2": png(head(1))}
    files |= {"notumor/3.dcm": dicom, "notumor/4.nii.gz": nifti, "notumor/5.jp2": encoded["JPEG2000"]}
    write(tmp_path / "mix", files | {"notumor/6.png": png(head(6)), "notumor/7.csv": b"a,b"})
    (tmp_path / "mix/glioma/8.png").symlink_to("nothing.png")
    table, messages = audit(tmp_path / "mix", tmp_path / "out", caplog, "--slices", "2", "--plane", "coronal")
    names = table["path"].str.replace(r"(\.coronal-\d+)?\.png$", "", regex=True)
    assert names.tolist() == [
        "glioma/0", "glioma/1.jfif", "glioma/2", "notumor/3.dcm", "notumor/4.nii.gz", "notumor/4.nii.gz",
        "notumor/5.jp2", "notumor/6",
    ]  # fmt: skip
    assert (table["problem"] == "").all()
    assert table["patient"].tolist().count("notumor/4") == 2
    assert pd.read_csv(tmp_path / "out/files.csv").to_numpy().tolist() == [
        ["glioma/8.png", "a link to a file that does not exist"],
        ["notumor/7.csv", "a text file"],
    ]
    assert "mix: labels: glioma 3, notumor 5" in messages
    assert messages[-1] == (
        "found: 1 copy, 1 with the same pixels, 2 re-encoded, rescaled or otherwise changed, 1 under another label, "
        "2 not like a slice of a head, 2 files left out"
    )


def test_audit_copies_mirrored_and_other_labels_are_in_the_last_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    contents = [png(head(seed)) for seed in (1, 2, 3)]
    files = {f"yes/{number}.png": content for number, content in enumerate(contents)}
    files |= {"no/0.png": contents[0], "no/1.png": contents[1], "yes/3.png": contents[2]}
    files |= {"yes/4.png": png(apply_transform(head(3), 4))}
    write(tmp_path / "in", files)
    _, messages = audit(tmp_path / "in", tmp_path / "out", caplog)
    assert messages[-1] == "found: 3 copies, 1 mirrored, 2 under another label"
    write(tmp_path / "distinct", {f"{seed}.png": png(head(seed)) for seed in range(3)})
    _, messages = audit(tmp_path / "distinct", tmp_path / "out", caplog)
    assert messages[-1] == "found: no duplicates among 3 images"


@pytest.mark.parametrize("doubled", [["yes", "no"], ["yes"], ["archive/yes", "archive/no"]])
def test_audit_doubled_and_wrapping_folders_have_no_conflicts(
    doubled: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folders = [*doubled, *(f"brain_tumor_dataset/{name}" for name in doubled)]
    files = {f"{folder}/0.png": png(head(len(folder.split("/")[-1]))) for folder in folders}
    write(tmp_path / "in", files)
    table, messages = audit(tmp_path / "in", tmp_path / "out", caplog)
    assert set(table["label"]) == {name.split("/")[-1] for name in doubled}
    assert messages[-1] == "found: " + ("1 copy" if len(doubled) == 1 else "2 copies")


def test_audit_dicom_files_of_patients_are_grouped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def write_patients(ids: Sequence[str]) -> None:
        for number, patient in enumerate(ids):
            for file in range(2):
                content = make_dicom(head(10 * number + file).astype(np.int16), PatientID=patient)
                write(tmp_path / "in", {f"glioma/P{number}/IM000{file}": content})

    write_patients("abc")
    table, messages = audit(tmp_path / "in", tmp_path / "out", caplog)
    assert set(table["label"]) == {"glioma"}
    assert table["patient"].nunique() == table["group"].nunique() == 3
    assert not any("name one patient" in message for message in messages)
    write_patients(["Anonymous"] * 3)
    table, messages = audit(tmp_path / "in", tmp_path / "out", caplog)
    assert table["group"].nunique() == 1
    assert [message for message in messages if "name one patient" in message] == [
        "in: the DICOM headers of 6 images name one patient, so that all are one group. If they are of several "
        "patients, name their folders by {patient} in --layout, or use --no-header-patients"
    ]
    table, messages = audit(tmp_path / "in", tmp_path / "out", caplog, "--layout", "{label}/{patient}/{file}")
    assert table["patient"].tolist() == ["P0", "P0", "P1", "P1", "P2", "P2"]
    assert not any("name one patient" in message for message in messages)
    table, _ = audit(tmp_path / "in", tmp_path / "out", caplog, "--no-header-patients")
    assert set(table["patient"]) == {""}


def test_audit_layout_that_matches_some_files_lists_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "in", {"x/sick/1.png": png(head(1)), "y/well/2.png": png(head(2)), "3.png": png(head(3))})
    table, messages = audit(tmp_path / "in", tmp_path / "out", caplog, "--layout", "*/{label}/{file}")
    assert table["label"].tolist() == ["sick", "well"]
    assert messages[-1] == "found: no duplicates among 2 images, 1 file left out"
    with pytest.raises(
        SystemExit, match=r"no image in .*, which has 3 × the path does not match a/\{label\}/\{file\}$"
    ):
        main([str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--layout", "a/{label}/{file}"])
    with pytest.raises(SystemExit, match=r"^error: --layout \{file\}: `path` must contain"):
        main([str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--layout", "{file}"])


def test_audit_names_that_are_not_text_are_escaped_in_all_files(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = {os.fsdecode(b"a/\xff.png"): png(head(1)), "a/\x1b\n.png": png(head(1)), os.fsdecode(b"a/\xfe"): b"text"}
    write(tmp_path / "in", files)
    table, _ = audit(tmp_path / "in", tmp_path / "out", caplog)
    assert table["path"].tolist() == ["a/\\udcff.png", "a/\\x1b\\n.png"]
    assert pd.read_csv(tmp_path / "out/files.csv")["path"].tolist() == ["a/\\udcfe"]
    assert pd.read_csv(tmp_path / "out/links.csv")["kind"].tolist() == ["exact"]


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["--help"], 0, "nothing in it is changed"),
        (["--help"], 0, "audit.csv, links.csv, files.csv, audit.json, gallery.html"),
        ([], 2, "the following arguments are required: source, --out"),
        (["images", "--out", "out", "--slices", "0"], 2, "--slices must be 1 or more"),
        (["images"], 2, "the following arguments are required: --out"),
    ],
)
def test_audit_help_and_missing_arguments_print_usage(
    args: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(args)
    assert stop.value.code == code
    output = " ".join("".join(capsys.readouterr()).split())
    assert output.startswith("usage: brain-tumor audit ")
    assert message in output
