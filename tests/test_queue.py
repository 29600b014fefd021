"""Experiments that wait in DVC's queue, as the page on other machines shows them."""

import json
import time
from pathlib import Path

from heads import head, png
from project import Project

STAGE = "stages/dvc.yaml:train@mine"
GIT = {f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def run(project: Project, *words: str) -> str:
    return project.run("dvc", *words, code=0, **GIT)


def test_queued_experiments_run_one_after_the_other(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.add_data("mine", {f"{'ab'[n % 2]}/{n}.png": png(head(n, 40)) for n in range(24)})
    params = project.params()
    layout = {"path": "{label}/{file}", "labels": {"a": "a", "b": "b"}}
    params["datasets"]["mine"] = {
        "source": {"kind": "archive", "file": "mine.zip", "layout": layout},
        "expect": {"counts": {}, "fingerprint": ""},
        "about": {"title": "", "url": "", "license": "", "generated": True},
    }
    recipe = json.loads(json.dumps(params["recipes"]["quickstart"])) | {"dataset": "mine", "classes": ["a", "b"]}
    recipe["enhance"]["operations"] = [{"op": "resize", "size": 32, "mode": "pad"}]
    recipe["train"]["epochs"] = 1
    params["recipes"]["mine"] = recipe
    project.edit(params)
    project.run("dvc", "repro", STAGE)
    project.git("add", "-A")
    project.git("-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "-qm", "trained")
    for seed in (1, 2):
        run(project, "exp", "run", "--queue", STAGE, "-S", f"recipes.mine.train.seed={seed}")
    run(project, "queue", "start")
    until = time.monotonic() + 150
    while (status := project.run("dvc", "queue", "status")).count("Success") < 2 and time.monotonic() < until:
        assert "Failed" not in status, status + project.run("dvc", "queue", "logs", "1")
        time.sleep(1)
    project.run("dvc", "queue", "stop", "--kill")
    shown = json.loads(project.run("dvc", "exp", "show", "--json"))
    found = [exp["revs"][0]["data"] for exp in shown[-1]["experiments"] or []]
    seeds = {data["params"]["params.yaml"]["data"]["recipes"]["mine"]["train"]["seed"] for data in found}
    assert seeds == {1, 2}
    assert len({data["outs"]["models/mine"]["hash"] for data in found}) == 2
