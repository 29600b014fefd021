"""`make repro` repairs files that a killed DVC left corrupted."""

import pytest

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
        text.index("  evaluate@one:"),
        text.rindex("md5: ") + 12,
        text.rindex("    md5: "),
        text.rindex("      md5: "),
        text.rindex("    outs:\n") + len("    outs:\n"),
    ]
    for end in ends:
        lock.write_text(text[:end])
        output = project.run("make", "repro", "RECIPE=one")
        assert "Restoring stages/dvc.lock from Git" in output
        assert stages_run(output) == []
        assert lock.read_text() == text


def test_repair_intact_files_are_left_alone(project: Project) -> None:
    output = project.run("make", "repro", "RECIPE=one")
    assert "Removing" not in output
    assert "Restoring" not in output
