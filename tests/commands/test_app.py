"""`brain-tumor app` without a model."""

from pathlib import Path

import pytest

from brain_tumor.commands import app as command


def test_app_without_a_model_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert command.main([]) == 1
    assert "no trained model in models/" in capsys.readouterr().err
