"""A wrong params.yaml ends `dvc repro` before its first stage, with all problems."""

from pathlib import Path

import pytest

from dvc_output import stages_run
from project import Project

REPORT = "stages/dvc.yaml:report@quickstart"


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"dataset": "phantm"}, "recipes.quickstart.dataset: there is no data set 'phantm'"),
        ({"backbone": "resnet"}, "recipes.quickstart.backbone: there is no backbone 'resnet'"),
        ({"classes": ["glioma", "glioma"]}, "recipes.quickstart.classes: 'glioma' is listed 2 times"),
    ],
)
def test_repro_invalid_recipe_runs_no_other_stage(tmp_path: Path, recipe: dict[str, object], message: str) -> None:
    project = Project(tmp_path / "project")
    params = project.params()
    params["recipes"]["quickstart"] |= recipe
    project.edit(params)
    output = project.run("dvc", "repro", REPORT, code=255)
    assert message in output
    assert stages_run(output) == ["stages/dvc.yaml:check_params"]
    assert "Traceback" not in output
    assert not (project.root / "data/raw").exists()
