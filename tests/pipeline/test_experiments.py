"""Experiments: one that runs immediately, four in a queue with two workers, and their table."""

import json
import time
from typing import Any

import pytest

from documentation import read_commands
from dvc_output import stages_run
from project import AUTHOR, Project

STAGE = "stages/dvc.yaml:train@one"
RATE = "recipes.one.train.optimizer.lr"


@pytest.fixture(scope="module")
def project(reproduced: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return reproduced.copy(tmp_path_factory.mktemp("experiments") / "project")


def dvc(project: Project, *args: str) -> str:
    return project.run("dvc", *args, **AUTHOR)


def read_experiments(project: Project) -> list[dict[str, Any]]:
    """Read the data of each experiment from `dvc exp show`."""
    commits = json.loads(dvc(project, "exp", "show", "--json"))
    return [experiment["revs"][0]["data"] for experiment in commits[-1]["experiments"] or []]


def learning_rate(data: dict[str, Any]) -> float:
    return float(data["params"]["params.yaml"]["data"]["recipes"]["one"]["train"]["optimizer"]["lr"])


def test_queue_two_workers_run_four_experiments(project: Project) -> None:
    rates = [0.0001, 0.0003, 0.004, 0.008]
    for value in rates:
        dvc(project, "exp", "run", "--queue", STAGE, "-S", f"{RATE}={value}")
    # The workers inherit open pipes: `run` would wait for them until all experiments are done.
    project.run("bash", "-c", "dvc queue start --jobs 2 > /dev/null 2>&1", **AUTHOR)
    max_running, deadline = 0, time.monotonic() + 300
    while (status := dvc(project, "queue", "status")).count("Success") < len(rates) and time.monotonic() < deadline:
        assert "Failed" not in status, status + dvc(project, "queue", "logs", "1")
        max_running = max(max_running, status.count("Running"))
        time.sleep(0.5)
    dvc(project, "queue", "stop", "--kill")
    assert max_running == 2
    experiments = read_experiments(project)
    assert sorted(map(learning_rate, experiments)) == rates
    assert len({data["outs"]["models/one"]["hash"] for data in experiments}) == len(rates)
    metrics = [data["metrics"]["metrics/one/train.json"]["data"] for data in experiments]
    assert len({values["validation_loss"] for values in metrics}) == len(rates)


def test_experiment_changed_parameter_runs_stale_stages(project: Project) -> None:
    before = project.lock()["train@one"]["outs"]
    output = dvc(project, "exp", "run", "stages/dvc.yaml:report@one", "--name", "faster", "-S", f"{RATE}=0.05")
    ran = stages_run(output)
    # Stages before training are up to date, and those of other recipes are not asked for.
    stages = ("train", "evaluate", "plot_evaluation", "explain", "plot_explanation", "report")
    expected = {"check_params", *(f"{name}@one" for name in stages)}
    assert {name.removeprefix("stages/dvc.yaml:") for name in ran} == expected
    assert project.lock()["train@one"]["outs"] != before
    (command,) = [command for command in read_commands() if command.startswith("dvc exp show --only-changed")]
    table = project.run("bash", "-c", f"{command} --no-pager", COLUMNS="120")
    assert "[faster]" in table
    assert RATE in table
    assert max(map(len, table.splitlines())) <= 120
    project.git("checkout", "-q", "--", ".")
    dvc(project, "exp", "apply", "faster")
    assert project.params()["recipes"]["one"]["train"]["optimizer"]["lr"] == 0.05
