"""The last commit of files, in a small repository."""

import subprocess
from pathlib import Path

import pytest

from brain_tumor.reporting.git_history import last_commit


def git(*args: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *identity, *args], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a.py and folder/b.py, committed one after the other; it is the working directory."""
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet")
    (tmp_path / "folder").mkdir()
    for name in ("a.py", "folder/b.py"):
        (tmp_path / name).write_text("1\n")
        git("add", name)
        git("commit", "--quiet", "-m", name)
    return tmp_path


@pytest.mark.usefixtures("repository")
def test_last_commit_is_the_last_one_of_the_files() -> None:
    first, second = git("rev-parse", "HEAD~1"), git("rev-parse", "HEAD")
    assert last_commit(["a.py"]) == first
    assert last_commit(["folder"]) == second
    assert last_commit(["a.py", "folder"]) == second


def test_last_commit_changed_file_is_marked(repository: Path) -> None:
    first = git("rev-parse", "HEAD~1")
    (repository / "a.py").write_text("2\n")
    assert last_commit(["a.py"]) == f"{first} with uncommitted changes"
    assert last_commit(["folder"]) == git("rev-parse", "HEAD")


def test_last_commit_new_file_has_none_yet(repository: Path) -> None:
    (repository / "c.py").write_text("1\n")
    assert last_commit(["c.py"]) == "none yet with uncommitted changes"


def test_last_commit_outside_a_repository_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert last_commit(["a.py"]) == "unknown (no Git history here)"
