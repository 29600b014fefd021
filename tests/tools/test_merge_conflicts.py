"""Two branches that add recipes: the tools name the conflict, and the documented way resolves it."""

import copy
from typing import Any

import pytest
from ruamel.yaml import YAML

from dvc_output import stages_run
from project import AUTHOR, Project

STAGE = "stages/dvc.yaml:preprocess@{name}"
TOOLS = ("repair_dvc_state", "check_stale", "pull_results")


@pytest.fixture(scope="module")
def project(reproduced: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = reproduced.copy(tmp_path_factory.mktemp("conflicts") / "project")
    project.add_tools()
    project.commit("tools")
    project.git("branch", "-M", "main")
    for epochs, name in enumerate(("ann", "bob"), start=2):
        project.git("checkout", "-q", "-b", name, "main")
        params = project.params()
        params["recipes"][name] = copy.deepcopy(params["recipes"]["one"])
        params["recipes"][name]["train"]["epochs"] = epochs
        project.edit(params)
        project.run("dvc", "repro", STAGE.format(name=name))
        project.commit(name)
    project.git("checkout", "-q", "ann")
    return project


def test_conflicts_are_named_and_resolved_as_documented(project: Project) -> None:
    project.run("git", "merge", "bob", code=1, **AUTHOR)
    for tool in TOOLS:
        output = project.run("python", f"tools/{tool}.py", code=1)
        assert "Traceback" not in output
        assert "params.yaml: edit it so that it has what both sides need" in output
        assert "stages/dvc.lock: `git checkout --ours stages/dvc.lock && git add stages/dvc.lock`" in output
    # A file that was added with its markers is no conflict for Git any more.
    project.git("add", "-A")
    output = project.run("python", "tools/check_stale.py", code=1)
    assert "Traceback" not in output
    assert "DVC cannot list the stages" in output

    project.git("merge", "--abort")
    project.run("git", "merge", "bob", code=1, **AUTHOR)
    project.git("checkout", "--ours", "params.yaml")
    params = project.params()
    theirs: Any = YAML().load(project.run("git", "show", "MERGE_HEAD:params.yaml"))
    params["recipes"]["bob"] = theirs["recipes"]["bob"]
    project.edit(params)
    project.git("add", "params.yaml")
    assert "params.yaml" not in project.run("python", "tools/check_stale.py", code=1)
    project.git("checkout", "--ours", "stages/dvc.lock")
    project.git("add", "stages/dvc.lock")
    output = project.run("dvc", "repro", STAGE.format(name="bob"))
    assert not set(stages_run(output)) - {"stages/dvc.yaml:check_params"}, (
        "results of the other side come from the runs"
    )
    assert {"preprocess@ann", "preprocess@bob", "preprocess@one"} <= set(project.lock())
    project.run("python", "tools/check_stale.py")


def test_check_stale_lock_file_that_is_not_valid_is_named(project: Project) -> None:
    project.git("checkout", "-qf", "main")
    project.git("checkout", "-q", "-b", "broken")
    lock = project.root / "stages/dvc.lock"
    lock.write_text("<<<<<<< HEAD\n" + lock.read_text())
    output = project.run("python", "tools/check_stale.py", code=1)
    assert "Traceback" not in output
