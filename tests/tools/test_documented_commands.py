"""Every command of the documentation runs on a small project, or is listed in `NOT_RUN` with the reason."""

import re
import shutil
from collections.abc import Callable

import nibabel
import numpy as np
import pytest

from documentation import read_commands
from heads import head, png
from project import AUTHOR, Project

BY_CI = ".ci/run runs it"
BY_EXPERIMENTS = "tests/pipeline/test_experiments.py runs it"
BY_STUDIES = "tests/studies/test_studies.py runs it, with parameters for a small recipe"
BY_CONFLICTS = "tests/tools/test_merge_conflicts.py runs it"
BY_APP = "runs until it is stopped; tests/app/test_server.py starts the server"
BY_GATE = "its exit code is 1 where images are shared; tests/commands/test_gate.py runs it"
NOT_RUN = {
    "make test": BY_CI,
    "make lint": BY_CI,
    "make check-bytes": BY_CI,
    "python tools/check_bytes.py --write": "writes the file that the check compares with; .ci/run runs the check",
    "python3 -m venv .venv && . .venv/bin/activate": "`make`, which .ci/run runs, does the same",
    "python -m pytest tests/splits": "the test suite runs these tests",
    "dvc exp run stages/dvc.yaml:report@edge -S recipes.edge.train.optimizer.lr=0.0005": BY_EXPERIMENTS,
    "dvc exp apply <name>": BY_EXPERIMENTS,
    "dvc exp run --queue stages/dvc.yaml:train@edge -S recipes.edge.train.optimizer.lr=0.0005": BY_EXPERIMENTS,
    "dvc exp run --queue stages/dvc.yaml:train@edge -S recipes.edge.train.optimizer.lr=0.002": BY_EXPERIMENTS,
    "dvc queue start": BY_EXPERIMENTS,
    "dvc remote modify team verify true": "tests/pipeline/test_damaged_remote.py runs it",
    "git checkout --ours stages/dvc.lock": BY_CONFLICTS,
    "git checkout --ours params.yaml": BY_CONFLICTS,
    "git show MERGE_HEAD:params.yaml": BY_CONFLICTS,
    "dvc get <repository> models/edge --remote team --remote-config url=s3://bucket/brain-tumor-mri verify=true": (
        "needs a remote on a server; tests/pipeline/test_remote.py gets a model from one"
    ),
    "dvc repro stages/crossval/dvc.yaml": BY_STUDIES,
    "dvc repro stages/crossval/dvc.yaml:crossval@0": BY_STUDIES,
    "dvc repro stages/crossval/dvc.yaml:repeat@recipe0-2": BY_STUDIES,
    "dvc repro stages/patients/dvc.yaml": BY_STUDIES,
    "dvc repro stages/patients/dvc.yaml:fold@recipe0-2": BY_STUDIES,
    "dvc repro stages/patients/dvc.yaml:patients@0": BY_STUDIES,
    "dvc repro stages/provenance/dvc.yaml": "downloads 900 MB; tests/studies/test_trace_images.py tests its parts",
    "dvc repro stages/external/dvc.yaml": BY_STUDIES,
    "dvc repro stages/overlap/dvc.yaml": BY_STUDIES,
    "PYTHONPATH=src python src/studies/overlap.py": "tests/pipeline/test_pipeline.py runs it",
    "dvc repro stages/permuted/dvc.yaml": BY_STUDIES,
    "dvc repro stages/localization/dvc.yaml": BY_STUDIES,
    "DATA_ARCHIVES=folder dvc repro stages/localization/dvc.yaml": BY_STUDIES,
    "dvc repro stages/planted/dvc.yaml": "needs minutes; tests/studies/test_synthetic_duplicates.py tests its parts",
    "dvc repro stages/protocol/dvc.yaml": BY_STUDIES,
    "dvc repro stages/seeds/dvc.yaml": BY_STUDIES,
    "brain-tumor gate --train ~/images/train --test ~/images/test --out ~/gate": BY_GATE,
    "brain-tumor gate --table split.csv": BY_GATE,
    "brain-tumor gate --train ~/images/train --test ~/images/test --lists lists": BY_GATE,
    "brain-tumor gate --table split.csv --lists lists": BY_GATE,
    "dvc repro stages/lists/dvc.yaml:lists@br35h": "needs an archive; tests/studies/test_image_lists.py tests it",
    "python tools/make_croissant.py": "tests/tools/test_make_croissant.py tests it",
    "brain-tumor audit ~/images ~/more.zip --out ~/both-audit": "tests/commands/test_inputs.py audits several sources",
    "make app": BY_APP,
    "brain-tumor app": BY_APP,
    "make bench": "takes about an hour; its numbers are for people",
    "make kill": "takes about an hour; tests/pipeline/test_kill.py runs the tool on a small pipeline",
    "make lock": "resolves all dependencies with the package index",
    "python src/predict.py": "mentioned without its arguments",
}
# Names in the documentation, and what stands for them in the small project.
STAND_INS = {
    r"\b(edge|quickstart)\b|<name>|<recipe>": "one",
    r"\bnickparvar\b": "mine",
    r"<repository>": ".",
    r"/folder/of/zips": "../project-archives",
    # All packages are installed: pip checks that, without the package index.
    r"^pip install": "python -m pip install --dry-run --no-index",
}
COMMANDS = read_commands()


@pytest.fixture(scope="module")
def project(reproduced: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small project with the files that the commands name, and with everything pushed."""
    project = reproduced.copy(tmp_path_factory.mktemp("documentation") / "project")
    project.add_tools()
    (project.root / "scan.jpg").write_bytes(png(head(1)))
    images = project.root.parent / "images"  # in the home folder of `Project.run`
    for start, folder in enumerate((project.root / "more", images / "a", images / "b")):
        folder.mkdir(parents=True)
        for number in range(8):
            (folder / f"{number}.png").write_bytes(png(head(8 * start + number)))
    volume = np.stack([head(3, 48)] * 12, -1)
    nibabel.Nifti1Image(volume.astype(np.float32), np.eye(4)).to_filename(project.root / "volume.nii.gz")
    project.commit("files of the documentation")
    project.git("branch", "-M", "main")
    project.run("dvc", "push")
    return project


def remove_results(project: Project) -> None:
    """Leave what another machine has after a clone."""
    for name in (".dvc/cache", ".dvc/tmp", "data", "models", "exports", "reports"):
        shutil.rmtree(project.root / name)
    project.git("checkout", "-q", "--", ".")


def change_parameter(project: Project) -> None:
    """Edit a parameter on another machine."""
    remove_results(project)
    params = project.params()
    params["recipes"]["one"]["evaluate"]["seed"] += 1
    project.edit(params)


# Preparation of a command so that it has something to do, and a part of its output.
PREPARATIONS: dict[str, tuple[Callable[[Project], None], str]] = {
    "make pull": (remove_results, "Everything is here"),
    "make pull RECIPE=edge": (remove_results, "Everything is here"),
    "dvc pull --with-deps dvc.yaml:deliver": (remove_results, "added"),
    "dvc repro --pull --allow-missing": (change_parameter, "Running stage 'stages/dvc.yaml:evaluate@one'"),
}


@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in NOT_RUN])
def test_documented_command_in_small_project_succeeds(project: Project, command: str) -> None:
    prepare, expected = PREPARATIONS.get(command, (None, ""))
    if prepare:
        prepare(project)
    for pattern, stand_in in STAND_INS.items():
        command = re.sub(pattern, stand_in, command)
    assert expected in project.run("bash", "-ec", command, **AUTHOR)
    project.git("checkout", "-q", "--", ".")  # undo changes of tracked files
    if prepare:
        project.run("dvc", "pull")
    shutil.rmtree(project.root / "one", ignore_errors=True)  # the output of `dvc get`


def test_commands_that_are_not_run_are_in_the_documentation() -> None:
    assert set(NOT_RUN) <= set(COMMANDS)
