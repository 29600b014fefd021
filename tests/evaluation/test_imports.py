"""Numbers and drawings are computed by separate scripts."""

import subprocess
import sys

import pytest

from project import ROOT

FORBIDDEN = {
    "evaluate": ("brain_tumor.plotting", "brain_tumor.reporting", "matplotlib"),
    "plot_evaluation": ("brain_tumor.models", "brain_tumor.metrics.bootstrap", "torch"),
}


@pytest.mark.parametrize("script", FORBIDDEN)
def test_script_has_no_forbidden_import(script: str) -> None:
    code = f"import sys, {script}; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "src", capture_output=True, text=True, check=True)
    assert not set(FORBIDDEN[script]) & set(result.stdout.split())
