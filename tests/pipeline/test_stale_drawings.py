"""Numbers apart from drawings: which stages DVC reruns after an edit of the library."""

import json
from pathlib import Path

import pytest

from dvc_output import ALWAYS_RUN
from project import Project

LIBRARY = Path("src/brain_tumor")


@pytest.fixture
def project(reproduced: Project, tmp_path: Path) -> Project:
    return reproduced.copy(tmp_path / "project")


def stale_stages(project: Project) -> set[str]:
    """Return the names, without the recipe or data set, of the stages whose code changed."""
    status = json.loads(project.run("dvc", "status", "--json"))
    changed = {name: entries for name, entries in status.items() if not name.startswith(ALWAYS_RUN)}
    for stage, entries in changed.items():
        assert [list(entry) for entry in entries] == [["changed deps"]], f"{stage}: {entries}"
        assert all(dep.startswith("src/") for entry in entries for dep in entry["changed deps"]), f"{stage}: {entries}"
    return {stage.rpartition(":")[2].partition("@")[0] for stage in changed}


def append_comment(project: Project, *files: Path) -> None:
    for file in files:
        with (project.root / file).open("a") as module:
            module.write("# edited\n")


def test_plotting_modules_edited_only_drawing_stages_are_stale(project: Project) -> None:
    assert stale_stages(project) == set()
    modules = [path.relative_to(project.root) for path in (project.root / LIBRARY / "plotting").glob("*.py")]
    assert len(modules) > 1
    append_comment(project, *modules)
    expected = {"plot_audit", "plot_preprocess", "plot_evaluation", "plot_explanation", "report", "deliver"}
    assert stale_stages(project) == expected


def test_metrics_module_edited_evaluate_is_stale(project: Project) -> None:
    append_comment(project, LIBRARY / "metrics/classification.py")
    stale = stale_stages(project)
    assert {"evaluate", "plot_evaluation"} <= stale
    assert not {"train", "split", "preprocess", "plot_explanation"} & stale
