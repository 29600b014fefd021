"""Every command of the README runs: here, on a small project, or where `ELSEWHERE` says."""

import re
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from heads import head, png
from project import AUTHOR, ROOT, Project

README = (ROOT / "README.md").read_text()
# What would take a machine of its own: a part of the command, the file that runs it, and how it stands there.
ELSEWHERE = {
    "make repro": (".ci/run", "make repro"),
    "make test": (".ci/run", "make test"),
    "dvc exp run -P -S recipes.edge.train.optimizer.lr=0.0005": ("tests/test_experiments.py", '"exp", "run", "-P"'),
    "dvc exp apply <name>": ("tests/test_experiments.py", '"exp", "apply"'),
    "make kill": ("tests/test_kill.py", ".ci/kill.py"),
    "make app": ("tests/test_app.py", "app.py"),
    "python3 -m venv .venv && . .venv/bin/activate": ("Makefile", "-m venv .venv"),
    "pip install --no-deps --require-hashes -r requirements.lock": ("Makefile", "--no-deps --require-hashes -r"),
}
# The README's recipe and files, and what stands for them in the small project.
STAND_INS = {
    r"\bedge\b": "one",
    r"<name>": "one",
    r"<repository>": ".",
    r"/folder/of/zips": "../project-archives",
    # What is to be installed is installed: this looks whether it is, and asks no index.
    r"^pip install": "python -m pip install --dry-run --no-index",
}
COMMANDS = ("make ", "dvc ", "python ", "python3 ", "pip ", "git ", "DATA_ARCHIVES=")


def commands() -> list[str]:
    """The lines of the README's shell blocks, and the commands in its text, each once."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    text = re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]
    found = [*filter(None, lines), *(span for span in spans if span.startswith(COMMANDS))]
    # Tables and prose name claims to be run on real data: `make repro RECIPE=vit-rollout`.
    return [line for line in dict.fromkeys(found) if not re.search(r"RECIPE=(?!edge|<name>)", line)]


@pytest.fixture(scope="module")
def project(reproduced: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small project with what the README's commands name."""
    project = reproduced.copy(tmp_path_factory.mktemp("readme") / "project")
    for name in ("Makefile", "README.md", "requirements.lock", ".ci", "docs"):
        copy: Any = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, project.root / name)
    (project.root / ".venv").mkdir()
    (project.root / ".venv/complete").touch()  # the environment of this test is the right one
    (project.root / "scan.jpg").write_bytes(png(head(1)))
    images = project.root.parent / "images"  # the test's home is there
    for place in (project.root / "more", images / "a", images / "b"):
        place.mkdir(parents=True)
        for number in range(3):
            (place / f"{number}.png").write_bytes(png(head(len(place.name) + number)))
    volume = np.stack([head(3, 48)] * 12, -1)
    nibabel.Nifti1Image(volume.astype(np.float32), np.eye(4)).to_filename(project.root / "volume.nii.gz")
    project.commit("what the README names")
    project.git("branch", "-M", "main")
    project.run("dvc", "push")
    return project


def test_commands_that_run_elsewhere_do() -> None:
    for command, (file, words) in ELSEWHERE.items():
        assert command in commands(), f"the README does not have {command} any more"
        assert words in (ROOT / file).read_text()


def forget(project: Project) -> None:
    """As on another machine: what Git does not have is gone."""
    for name in (".dvc/cache", ".dvc/tmp", "data", "models", "exports", "reports"):
        shutil.rmtree(project.root / name)


def change(project: Project) -> None:
    """As after an edit, on another machine."""
    forget(project)
    params = project.params()
    params["recipes"]["one"]["evaluate"]["seed"] += 1
    project.edit(params)


# What a command needs to have something to do, and what it then says.
BEFORE = {
    "dvc pull": (forget, "added"),
    "dvc repro --pull --allow-missing": (change, "Running stage 'stages/dvc.yaml:evaluate@one'"),
}


@pytest.mark.parametrize("command", [each for each in commands() if each not in ELSEWHERE])
def test_the_command_runs(project: Project, command: str) -> None:
    before, expected = BEFORE.get(command, (lambda _: None, ""))
    before(project)
    for pattern, stand_in in STAND_INS.items():
        command = re.sub(pattern, stand_in, command)
    assert expected in project.run("bash", "-ec", command, **AUTHOR)
    project.git("checkout", "-q", "--", ".")  # a remote of the team's own, an edit and what came of it
    if expected:
        project.run("dvc", "pull")
    if (made := project.root / "one").exists():  # what `dvc get` brought
        shutil.rmtree(made)


def test_a_file_that_a_kill_left_torn_does_not_stop_make(project: Project) -> None:
    (project.root / ".dvc/tmp/rwlock").write_text("")
    assert "RWLock-file" in project.run("dvc", "repro", "-f", "-s", "stages/dvc.yaml:split@one", code=255)
    assert "Removing .dvc/tmp/rwlock" in project.run("make", "repro", "RECIPE=one")
    lock = project.root / "stages/dvc.lock"
    whole = lock.read_text()
    ends = [
        len(whole) // 2,
        whole.index("  evaluate@one:"),
        whole.rindex("md5: ") + 12,
        whole.rindex("    md5: "),
        whole.rindex("      md5: "),
        whole.rindex("    outs:\n") + len("    outs:\n"),
    ]
    for end in ends:
        lock.write_text(whole[:end])
        said = project.run("make", "repro", "RECIPE=one")
        assert "Taking stages/dvc.lock from Git" in said
        assert "Running stage" not in said
        assert lock.read_text() == whole
    assert "Taking" not in project.run("make", "repro", "RECIPE=one")


def test_there_is_something_to_run() -> None:
    assert len(commands()) > 25
    assert Path(ROOT / "README.md").read_text().count("```sh") >= 8
