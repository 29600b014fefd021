"""`brain-tumor audit`: the audit of any folder of images."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from brain_tumor.audit.transforms import apply_transform
from brain_tumor.commands.audit import FILES, main
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
    for name, content in files.items():
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "images"


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
    assert f"written: {out}/audit.csv" in result.stderr
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    counts = json.loads((out / "audit.json").read_text())
    assert (counts["images"], counts["unique_images"]) == (5, 4)
    links = pd.read_csv(out / "links.csv")
    assert links["kind"].tolist() == ["mirrored"]
    assert len(pd.read_csv(out / "audit.csv")) == 5
    assert (out / "audit.png").stat().st_size > 5000
    assert {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))} == before


def test_audit_error_without_torch_is_one_line_with_exit_code_1(tmp_path: Path) -> None:
    result = audit_without_torch("/nowhere/at/all", "--out", tmp_path / "out")
    assert result.returncode == 1
    assert result.stderr == "error: /nowhere/at/all is not a folder\n"
    assert not (tmp_path / "out").exists()


def test_audit_names_with_special_characters_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS", "1")
    folder = tmp_path / "in $put$"
    for name in ("a/x$\\foo$.png", "b/y_{^.png"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(png(head(1)))
    assert main([str(folder), "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out/audit.png").stat().st_size > 5000


def test_audit_out_inside_the_folder_is_rejected(folder: Path) -> None:
    with pytest.raises(SystemExit, match=r"^error: --out .* is inside the audited folder"):
        main([str(folder), "--out", str(folder / "out")])
    assert not (folder / "out").exists()


def test_audit_out_is_a_file_is_rejected(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match=r"^error: --out .*file is a file, and must be a folder"):
        main([str(folder), "--out", str(tmp_path / "file")])


def test_audit_folder_without_images_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match=r"^error: no image below"):
        main([str(tmp_path / "empty"), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["--help"], 0, "nothing in it is changed"),
        (["--help"], 0, "audit.csv, links.csv, audit.json, audit.png"),
        ([], 2, "the following arguments are required: folder, --out"),
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
