"""The command line of stage scripts, and how errors are reported."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from brain_tumor.core.cli import run_cli, run_stage
from brain_tumor.core.errors import UserError

SRC = Path(__file__).parents[2] / "src"


def raise_error(error: Exception) -> None:
    raise error


def test_run_cli_user_error_prints_message_and_exits_with_1() -> None:
    code = """
from brain_tumor.core.cli import run_cli
from brain_tumor.core.errors import UserError
def action():
    raise UserError("the file is missing: create it")
run_cli(action)
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=SRC, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "error: the file is missing: create it\n"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_run_cli_full_disk_names_the_file(number: int) -> None:
    error = OSError(number, os.strerror(number), "/data/images.npy")
    with pytest.raises(SystemExit, match=r"^error: no space left on the disk of /data/images\.npy: free disk space"):
        run_cli(lambda: raise_error(error))


def test_run_cli_full_disk_without_a_file_names_the_working_folder() -> None:
    with pytest.raises(SystemExit, match=f"^error: no space left on the disk of {Path.cwd()}: "):
        run_cli(lambda: raise_error(OSError(errno.ENOSPC, "No space left on device")))


def test_run_cli_full_gpu_says_what_to_do() -> None:
    class OutOfMemoryError(RuntimeError):
        """As torch's."""

    with pytest.raises(SystemExit, match=r"^error: the GPU is out of memory \(tried 2 GiB\): stop other .* DEVICE=cpu"):
        run_cli(lambda: raise_error(OutOfMemoryError("tried 2 GiB")))


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), ValueError("a bug"), RuntimeError("x")])
def test_run_cli_other_error_is_not_caught(error: Exception) -> None:
    with pytest.raises(type(error)):
        run_cli(lambda: raise_error(error))


def test_run_stage_name_is_passed_to_main(monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    monkeypatch.setattr(sys, "argv", ["train.py", "edge"])
    run_stage(names.append, "recipe")
    assert names == ["edge"]


def test_run_stage_help_has_the_description_of_main(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(name: str) -> None:
        """Train one recipe."""
        raise UserError(name)

    monkeypatch.setattr(sys, "argv", ["train.py", "--help"])
    with pytest.raises(SystemExit) as stop:
        run_stage(main, "recipe")
    assert stop.value.code == 0
    output = capsys.readouterr().out
    assert "Train one recipe." in output
    assert "name of a recipe in params.yaml" in output
