"""--out of the commands: no file or folder of the user is overwritten or deleted by mistake."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from brain_tumor.commands import audit, clean, gate, split
from brain_tumor.commands.out_paths import check_out_folder, check_out_table
from brain_tumor.core.errors import UserError
from heads import head, png

NOBODY = 65534  # user without permissions
CHECK_AS = """
import os, sys
from pathlib import Path
from brain_tumor.commands.out_paths import check_out_folder
os.setgid(int(sys.argv[1])), os.setuid(int(sys.argv[1]))
check_out_folder(Path(sys.argv[2]), ["a.csv"], [])
"""


@pytest.fixture(autouse=True)
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[Path, bytes]:
    """A folder of images with a table, and the content of all its files."""
    monkeypatch.setenv("WORKERS", "1")
    monkeypatch.chdir(tmp_path)
    for label in "ab":
        Path("images", label).mkdir(parents=True)
    files = {Path(f"images/{'ab'[seed % 2]}/{seed}.png"): png(head(seed)) for seed in range(8)}
    rows = ["path,split", *(f"{path.relative_to('images')},train" for path in files)]
    files |= {Path("images", name): "\n".join(rows).encode() for name in ("audit.csv", "findings.csv")}
    for path, content in files.items():
        path.write_bytes(content)
    return files


def is_unchanged(files: dict[Path, bytes]) -> bool:
    return {path: path.read_bytes() for path in Path("images").rglob("*") if path.is_file()} == files


@pytest.mark.parametrize("command", [split.main, clean.main], ids=["split", "clean"])
@pytest.mark.parametrize(
    ("source", "out", "message"),
    [
        ("images", "images", "is a folder, and must be a CSV file"),
        ("images", "images/a", "is a folder, and must be a CSV file"),
        ("images", "images/a/0.png", "must end with .csv"),
        ("images/audit.csv", "images/../images/audit.csv", "is an input, and would be overwritten"),
        ("images", "images/a/0.png/list.csv", "0.png is not a folder"),
    ],
)
def test_out_table_that_would_replace_something_else_is_an_error(
    command: Callable[..., object], source: str, out: str, message: str, images: dict[Path, bytes]
) -> None:
    with pytest.raises(SystemExit, match=f"^error: --out.*{message}"):
        command([source, "--out", out])
    assert is_unchanged(images)


def test_out_table_of_an_earlier_run_is_replaced(images: dict[Path, bytes]) -> None:
    for _ in range(2):
        assert split.main(["images", "--out", "images/split.csv"]) == 0
    Path("images/split.csv").unlink()
    assert is_unchanged(images)


def test_out_folder_of_audit_and_gate_does_not_replace_inputs(
    images: dict[Path, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"^error: --out: images/audit\.csv is an input"):
        audit.main(["images/audit.csv", "--out", "images"])
    assert gate.main(["--table", "images/findings.csv", "--out", "images"]) == gate.ERROR
    assert "error: --out: images/findings.csv is an input" in capsys.readouterr().err
    assert gate.main(["--train", "images/a", "--test", "images/b", "--out", "images/a/0.png"]) == gate.ERROR
    assert "error: --out images/a/0.png is a file, and must be a folder" in capsys.readouterr().err
    assert is_unchanged(images)


@pytest.mark.parametrize(
    ("make", "out", "message"),
    [
        (lambda: Path("out/a.csv").mkdir(parents=True), "out", "out/a.csv is a folder, and would be replaced"),
        (lambda: Path("out").touch(), "out/deeper/still", "out is not a folder"),
        (lambda: Path("out").symlink_to("nowhere"), "out", "out is not a folder"),
    ],
    ids=["folder of a file's name", "below a file", "link to nothing"],
)
def test_check_out_folder_that_cannot_be_written_is_an_error(
    make: Callable[..., object], out: str, message: str
) -> None:
    make()
    with pytest.raises(UserError, match=message):
        check_out_folder(Path(out), ["a.csv"], [])
    assert not Path("out/deeper").exists()


def test_check_out_new_folders_and_files_are_accepted_and_not_made() -> None:
    check_out_folder(Path("new/out"), ["a.csv"], [Path("images")])
    check_out_table(Path("new/out.csv"), [Path("images")])
    check_out_table(Path("out.csv"), [Path("images/audit.csv")])
    assert not Path("new").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_check_out_folder_without_permission_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    command = [sys.executable, "-c", CHECK_AS, str(NOBODY), "images/out"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert "no permission to write to images" in result.stderr
