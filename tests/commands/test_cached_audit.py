"""Audits that are kept for the next run."""

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from brain_tumor.audit.audit import audit_images
from brain_tumor.audit.transforms import apply_transform
from brain_tumor.commands import audit, cached_audit, gate
from heads import head, png


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes, a mirrored copy, images of one patient in a table, and a broken file."""
    monkeypatch.setenv("WORKERS", "1")
    monkeypatch.chdir(tmp_path)
    files = {f"{'ab'[seed % 2]}/{seed}.png": png(head(seed)) for seed in range(6)}
    files |= {"b/mirrored.png": png(apply_transform(head(0), 4)), "b/broken.png": b"not an image"}
    rows = [f"{name},{'p' if seed < 2 else ''},{'train' if seed % 2 else 'test'}" for seed, name in enumerate(files)]
    files["table.csv"] = "\n".join(["path,patient,split", *rows]).encode()
    for name, content in files.items():
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(content)
    return tmp_path / "images"


@pytest.fixture
def audited(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The titles of the audits that were made."""
    titles: list[str] = []

    def spy(index: Any, read_file: Any, title: str) -> Any:
        titles.append(title)
        return audit_images(index, read_file, title)

    monkeypatch.setattr(cached_audit, "audit_images", spy)
    return titles


def run(*args: str) -> dict[str, bytes]:
    """Audit the images, and return the files that were written."""
    assert audit.main([*args, "--out", "out"]) == 0
    return {path.name: path.read_bytes() for path in Path("out").iterdir()}


@pytest.mark.parametrize("source", ["images", "images/table.csv"])
def test_audit_unchanged_images_are_not_audited_again_and_give_the_same_files(
    images: Path, audited: list[str], source: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first = run(source)
    assert run(source) == first
    assert len(audited) == 1
    assert "these images were audited before" in caplog.text
    assert run(source, "--no-cache") == first
    assert len(audited) == 2


def test_audit_what_the_result_depends_on_makes_a_new_one(
    images: Path, audited: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run("images")
    (images / "a/0.png").write_bytes(png(head(40)))
    assert run("images") != first
    (images / "a/0.png").write_bytes(png(head(0)))
    assert run("images") == first
    assert len(audited) == 2
    (images / "a/0.png").rename(images / "b/0.png")  # another label
    run("images")
    assert len(audited) == 3
    monkeypatch.setattr(cached_audit, "fingerprint_folder", lambda folder: "another version")
    run("images")
    assert len(audited) == 4


def test_gate_of_audited_images_finds_the_same(images: Path, audited: list[str]) -> None:
    for _ in range(2):
        assert gate.main(["--table", "images/table.csv", "--out", "gate", "--allow", "unreadable"]) == gate.FAILED
    assert len(audited) == 1


def test_audit_oldest_results_are_deleted(images: Path, audit_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached_audit, "MAX_ENTRIES", 2)
    for seed in range(4):
        (images / "a/0.png").write_bytes(png(head(50 + seed)))
        run("images")
        assert len(list(audit_cache.iterdir())) == min(seed + 1, 2)


def test_audit_folder_that_cannot_be_written_is_a_warning(
    images: Path, audit_cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (audit_cache / "file").write_text("")
    monkeypatch.setenv("AUDIT_CACHE", str(audit_cache / "file"))
    run("images")
    assert "the result is not kept for the next run" in caplog.text


def damage_text(entry: Path) -> None:
    (entry / "links.csv").write_text("garbage")


def cut_off(entry: Path) -> None:
    (entry / "table.csv").write_bytes((entry / "table.csv").read_bytes()[:300])


def empty_all(entry: Path) -> None:
    for path in entry.iterdir():
        path.write_bytes(b"")


def delete_table(entry: Path) -> None:
    (entry / "table.csv").unlink()


@pytest.mark.parametrize("damage", [damage_text, cut_off, empty_all, delete_table])
def test_audit_damaged_result_is_made_again(
    images: Path, audited: list[str], audit_cache: Path, damage: Callable[[Path], None]
) -> None:
    first = run("images")
    (entry,) = audit_cache.iterdir()
    damage(entry)
    assert run("images") == first
    assert len(audited) == 2
    assert run("images") == first
    assert len(audited) == 2


def test_audit_other_files_of_the_cache_folder_are_not_deleted(
    images: Path, audit_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_audit, "MAX_ENTRIES", 1)
    others = ["photos", "0" * 64, ".hidden"]  # AUDIT_CACHE may name any folder
    for name in others:
        (audit_cache / name).mkdir()
        (audit_cache / name / "mine.txt").write_text("mine")
    for seed in range(3):
        (images / "a/0.png").write_bytes(png(head(50 + seed)))
        run("images")
    assert {path.name for path in audit_cache.iterdir()} > set(others)
    assert len(list(audit_cache.iterdir())) == len(others) + 1
    assert all((audit_cache / name / "mine.txt").exists() for name in others)


def test_audit_result_that_another_run_just_made_is_kept(
    images: Path, audit_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run("images")
    (entry,) = audit_cache.iterdir()
    copies = {path.name: path.read_bytes() for path in entry.iterdir()}
    shutil.rmtree(entry)

    def audit_beside_another(index: Any, read_file: Any, title: str) -> Any:
        entry.mkdir()
        for name, content in copies.items():
            (entry / name).write_bytes(content)
        return audit_images(index, read_file, title)

    monkeypatch.setattr(cached_audit, "audit_images", audit_beside_another)
    assert run("images") == first
    assert {path.name: path.read_bytes() for path in entry.iterdir()} == copies


def test_audit_without_a_home_folder_or_a_known_package_is_not_kept(
    images: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = run("images", "--no-cache")
    monkeypatch.setattr(cached_audit, "LIBRARIES", ("numpy", "package-of-another-build"))
    assert run("images") == first
    assert "not kept for the next run: No package metadata was found for package-of-another-build" in caplog.text
    monkeypatch.undo()
    monkeypatch.chdir(images.parent)
    monkeypatch.setenv("WORKERS", "1")
    for name in ("AUDIT_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as for a user id that the system does not know
    assert run("images") == first
    assert "not kept for the next run: Could not determine home directory" in caplog.text


def test_audit_folder_of_results_is_for_its_user_alone(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_CACHE", str(tmp_path / "cache/audits"))
    run("images")
    assert (tmp_path / "cache/audits").stat().st_mode & 0o077 == 0
