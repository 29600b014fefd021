"""`make repro` repairs files that a killed DVC left corrupted."""

import json
import os
import subprocess

import pytest

from check_stale import drop_entries
from dvc_output import stages_run
from project import Project

SPLIT = "stages/dvc.yaml:split@one"


@pytest.fixture(scope="module")
def project(reproduced: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = reproduced.copy(tmp_path_factory.mktemp("repair") / "project")
    project.add_tools()
    return project


def test_repair_corrupted_rwlock_is_removed(project: Project) -> None:
    (project.root / ".dvc/tmp/rwlock").write_text("")
    assert "RWLock-file" in project.run("dvc", "repro", "-f", "-s", SPLIT, code=255)
    assert "Removing .dvc/tmp/rwlock" in project.run("make", "repro", "RECIPE=one")


def test_repair_truncated_lock_file_is_restored(project: Project) -> None:
    lock = project.root / "stages/dvc.lock"
    text = lock.read_text()
    ends = [
        len(text) // 2,
        text.rindex("md5: ") + 12,
        text.rindex("    md5: "),
        text.rindex("      md5: "),
        text.index("    - path: data/probabilities/one.npz"),  # valid, but this stage has more outputs
        text.rindex("    outs:\n") + len("    outs:\n"),
    ]
    for end in ends:
        lock.write_text(text[:end])
        output = project.run("make", "repro", "RECIPE=one")
        assert "Restoring stages/dvc.lock from Git" in output
        assert stages_run(output) == []
        assert lock.read_text() == text


@pytest.mark.parametrize("deleted", [("report@one", "export@one"), ("split@one",)], ids="-".join)
def test_repair_entries_deleted_on_purpose_are_not_put_back(project: Project, deleted: tuple[str, ...]) -> None:
    lock = project.root / "stages/dvc.lock"
    text = lock.read_text()
    drop_entries(lock, deleted)
    output = project.run("python", "tools/repair_dvc_state.py")
    assert "Restoring" not in output
    assert "stages/dvc.lock lacks entries that Git has" in output
    assert all(name in output for name in deleted)
    assert not set(deleted) & set(project.lock())
    lock.write_text(text)


def test_repro_while_another_runs_names_its_process(project: Project) -> None:
    out = str(project.root / "data/split/one.csv")
    rwlock = project.root / ".dvc/tmp/rwlock"
    holder = {"pid": os.getpid(), "cmd": "dvc repro"}
    rwlock.write_text(json.dumps({"write": {out: holder}}))
    output = project.run("dvc", "repro", SPLIT, code=255)
    assert f"blocked by:\n  (PID {os.getpid()}): dvc repro" in output
    with subprocess.Popen("true") as ended:
        ended.wait()
    rwlock.write_text(json.dumps({"write": {out: holder | {"pid": ended.pid}}}))
    assert "had been killed" in project.run("dvc", "repro", SPLIT)


def test_repair_intact_files_are_left_alone(project: Project) -> None:
    output = project.run("make", "repro", "RECIPE=one")
    assert "Removing" not in output
    assert "Restoring" not in output
