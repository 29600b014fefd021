"""Errors of the audit stage."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from project import ROOT


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "error: params.yaml has no data set nothing (data sets: phantom, "),
        ("br35h", "error: data/raw/br35h.zip is missing: run dvc repro stages/dvc.yaml:download@br35h first\n"),
    ],
)
def test_audit_stage_missing_data_set_is_one_clear_error(name: str, message: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    command = [sys.executable, str(ROOT / "src/audit.py"), name]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith(message)
    assert "Traceback" not in result.stderr
