"""Checkpoints: an interrupted run resumes to the same weights; unusable files and full disks are reported."""

import resource
import signal
from pathlib import Path
from typing import Any

import pytest

from brain_tumor.core.errors import UserError
from brain_tumor.training import checkpoint
from nets import fit, have_same_weights


@pytest.fixture
def saves(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Interrupt each run after it saved a checkpoint, until the list, which counts these saves, has two entries."""
    save_checkpoint, saves = checkpoint.save_checkpoint, list[int]()

    def save_and_stop(path: Path, state: checkpoint.TrainState, parts: Any) -> None:
        save_checkpoint(path, state, parts)
        if len(saves) < 2:
            saves.append(len(state.history))
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save_checkpoint", save_and_stop)
    return saves


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ema": 0.9},
        {"mix": {"mixup": 0.4, "cutmix": 1.0}},
        {"schedule": {"kind": "plateau", "every": 1}, "epochs": 4},
        {"compile": False},
    ],
)
def test_train_interrupted_twice_resumes_to_the_same_weights(
    tmp_path: Path, saves: list[int], changes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / "interrupted.pt", **changes)
    resumed, state = fit(tmp_path / "interrupted.pt", **changes)
    assert saves == [1, 2]
    assert "resuming from epoch 2" in caplog.text
    whole, expected = fit(tmp_path / "whole.pt", **changes)
    assert have_same_weights(resumed, whole)
    assert state.history == expected.history


def test_train_damaged_checkpoint_is_ignored_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "bad.pt").write_bytes(b"PK\x03\x04 half a file")
    model, _ = fit(tmp_path / "bad.pt")
    assert "bad.pt cannot be read" in caplog.text
    assert have_same_weights(model, fit(tmp_path / "good.pt")[0])


def test_save_checkpoint_full_disk_names_the_file_and_leaves_nothing(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        with pytest.raises(UserError, match=r"s.pt cannot be written .*free disk space"):
            fit(tmp_path / "s.pt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert list(tmp_path.iterdir()) == []
