"""Experiments: one at once, six in a queue with two workers, and how they are shown."""

import json
import re
import time
from typing import Any

import pytest
from project import AUTHOR, ROOT, Project

STAGE = "stages/dvc.yaml:train@one"
RATE = "recipes.one.train.optimizer.lr"


@pytest.fixture(scope="module")
def project(reproduced: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return reproduced.copy(tmp_path_factory.mktemp("experiments") / "project")


def dvc(project: Project, *words: str) -> str:
    return project.run("dvc", *words, **AUTHOR)


def shown(project: Project) -> list[dict[str, Any]]:
    """What `dvc exp show` knows of each experiment."""
    found = json.loads(dvc(project, "exp", "show", "--json"))
    return [each["revs"][0]["data"] for each in found[-1]["experiments"] or []]


def rate(data: dict[str, Any]) -> float:
    return float(data["params"]["params.yaml"]["data"]["recipes"]["one"]["train"]["optimizer"]["lr"])


def test_six_wait_in_a_queue_and_two_workers_run_them(project: Project) -> None:
    rates = [0.0001, 0.0003, 0.0005, 0.002, 0.004, 0.008]
    for value in rates:
        dvc(project, "exp", "run", "--queue", STAGE, "-S", f"{RATE}={value}")
    # The workers keep what they were started with open: a pipe would be waited for until all is done.
    project.run("bash", "-c", "dvc queue start --jobs 2 > /dev/null 2>&1", **AUTHOR)
    most, until = 0, time.monotonic() + 300
    while (status := dvc(project, "queue", "status")).count("Success") < len(rates) and time.monotonic() < until:
        assert "Failed" not in status, status + dvc(project, "queue", "logs", "1")
        most = max(most, status.count("Running"))
        time.sleep(0.5)
    dvc(project, "queue", "stop", "--kill")
    assert most == 2, "two at once"
    found = shown(project)
    assert sorted(map(rate, found)) == rates
    assert len({data["outs"]["models/one"]["hash"] for data in found}) == len(rates)
    metrics = [data["metrics"]["metrics/one/train.json"]["data"] for data in found]
    assert len({each["validation_loss"] for each in metrics}) == len(rates)


def test_an_experiment_runs_what_its_parameter_makes_stale_and_can_be_kept(project: Project) -> None:
    before = project.lock()["train@one"]["outs"]
    output = dvc(project, "exp", "run", "-P", "--name", "faster", "-S", f"{RATE}=0.05")
    ran = [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]
    # -P is every pipeline, not that of one stage; what comes before training is as it was.
    assert {name.removeprefix("stages/dvc.yaml:") for name in ran} == {
        *(f"{stage}@one" for stage in ("train", "evaluate", "explain", "export", "report")), "deliver",
    }  # fmt: skip
    assert project.lock()["train@one"]["outs"] != before
    (columns,) = re.findall("exp show --only-changed --drop '(.+?)'", (ROOT / "README.md").read_text())
    table = project.run("dvc", "exp", "show", "--only-changed", "--no-pager", "--drop", columns, COLUMNS="120")
    assert "[faster]" in table
    assert RATE in table
    assert max(map(len, table.splitlines())) <= 120, "a table that fits"
    project.git("checkout", "-q", "--", ".")
    dvc(project, "exp", "apply", "faster")
    assert project.params()["recipes"]["one"]["train"]["optimizer"]["lr"] == 0.05
