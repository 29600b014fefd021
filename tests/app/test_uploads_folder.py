"""Cleaning the folder of uploads."""

import os
import time
from pathlib import Path

import pytest

from brain_tumor.app import uploads_folder


def write(path: Path, age: float, size: int = 6) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (time.time() - age, time.time() - age))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_remove_stale_uploads_cut_off_and_unread_ones_are_removed(tmp_path: Path) -> None:
    write(tmp_path / "cut-off", uploads_folder.PARTIAL_SECONDS + 5)
    write(tmp_path / "being-written", uploads_folder.PARTIAL_SECONDS - 30)
    write(tmp_path / "hash/waiting", uploads_folder.PARTIAL_SECONDS + 5)
    write(tmp_path / "hash/forgotten", uploads_folder.WAITING_SECONDS + 5)
    uploads_folder.remove_stale_uploads(tmp_path)
    assert names(tmp_path) == ["being-written", "waiting"]


def test_remove_stale_uploads_oldest_go_when_there_are_too_many_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        write(tmp_path / f"hash/{number}", 10 * number, 100)
    monkeypatch.setattr(uploads_folder, "MAX_FOLDER_BYTES", 250)
    uploads_folder.remove_stale_uploads(tmp_path)
    assert names(tmp_path) == ["0", "1"]


def test_start_cleaning_removes_without_a_further_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads_folder, "CLEANING_SECONDS", 0.05)
    uploads_folder.start_cleaning(tmp_path)
    write(tmp_path / "cut-off", uploads_folder.PARTIAL_SECONDS + 5)
    end = time.monotonic() + 10
    while names(tmp_path) and time.monotonic() < end:
        time.sleep(0.05)
    assert names(tmp_path) == []
