"""The whole pipeline on a tiny data set of the user's own, added by an edit of params.yaml alone."""

import json
from typing import Any

import pandas as pd
import pytest
from heads import head, png, shapes
from project import Project

from brain_tumor.copies import turn

REPORT = "stages/dvc.yaml:report@mine"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("pipeline") / "project")
    project.add_data("mine", shapes())
    params = project.params()
    layout = {"path": "{label}s/{file}", "labels": {"cross": "cross", "disk": "disk"}}
    params["datasets"]["mine"] = {
        "source": {"kind": "archive", "file": "mine.zip", "layout": layout},
        "expect": {"counts": {"cross": 40, "disk": 40}, "fingerprint": ""},
        "about": {"title": "Shapes", "url": "", "license": "none", "generated": True},
    }
    recipe = params["recipes"]["quickstart"]
    recipe = json.loads(json.dumps(recipe)) | {"dataset": "mine", "classes": ["cross", "disk"]}
    recipe["enhance"]["operations"] = [
        {"op": "denoise", "method": "median", "size": 3},
        {"op": "clahe", "clip": 1.0, "tiles": 2},
        {"op": "resize", "size": 32, "mode": "pad"},
    ]
    recipe["train"] |= {"epochs": 2}
    params["recipes"]["mine"] = recipe
    params["recipes"]["twin"] = json.loads(json.dumps(recipe))
    project.edit(params)
    project.run("dvc", "repro", REPORT)
    return project


def test_a_data_set_and_a_recipe_of_your_own_give_a_report(project: Project) -> None:
    page = (project.root / "reports/mine/report.html").read_text()
    assert "Not for clinical use" in page
    assert "Generated images" in page
    assert "http" not in page.replace("http://www.w3.org", ""), "the page must stand alone"
    test = json.loads((project.root / "metrics/mine/test.json").read_text())
    assert test["published"]["n"] == test["clean"]["n"] == 16
    assert 0 <= test["published"]["accuracy"] <= 1
    split = json.loads((project.root / "metrics/mine/split.json").read_text())
    assert set(split["straddling_groups"].values()) == {0}
    assert sum(split[part]["images"] for part in ("train", "validation", "test")) == 80
    assert (project.root / "plots/mine/sheets/grad-cam.png").stat().st_size > 10_000


def test_a_second_run_does_nothing_and_a_forced_one_gives_the_same_bytes(project: Project) -> None:
    assert "Running stage" not in project.run("dvc", "repro", REPORT)
    before = project.lock()
    project.run("dvc", "repro", "-f", REPORT, WORKERS="1")
    assert project.lock() == before


def test_another_learning_rate_makes_train_and_what_follows_again_and_nothing_else(project: Project) -> None:
    project.run("dvc", "repro", "stages/dvc.yaml:train@twin")
    params = project.params()
    params["recipes"]["mine"]["train"]["optimizer"]["lr"] = 0.002
    project.edit(params)
    targets = (REPORT, "stages/dvc.yaml:train@twin")
    changed = json.loads(project.run("dvc", "status", "--json", "--with-deps", *targets))
    # Stages between the two wait for what training will give; the report shows the recipe's parameters.
    assert set(changed) == {"stages/dvc.yaml:train@mine", REPORT}
    output = project.run("dvc", "repro", *targets)
    ran = [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]
    assert ran == [f"stages/dvc.yaml:{stage}@mine" for stage in ("train", "evaluate", "explain", "report")]


def test_unreadable_image_is_named_and_leaves_nothing(project: Project) -> None:
    files = shapes(6)
    files["disks/03.png"] = files["disks/03.png"][:60]
    project.add_data("mine", files)
    project.run("python", "src/download.py", "mine", code=1)  # not the counts that params.yaml expects
    params = project.params()
    params["datasets"]["broken"] = json.loads(json.dumps(params["datasets"]["mine"]))
    params["datasets"]["broken"]["expect"]["counts"] = {}
    params["recipes"]["broken"] = json.loads(json.dumps(params["recipes"]["mine"])) | {"dataset": "broken"}
    project.edit(params)
    project.run("python", "src/download.py", "broken")
    assert "disks/03.png: unreadable" in project.run("python", "src/audit.py", "broken")
    output = project.run("python", "src/enhance.py", "broken", code=1)
    assert "disks/03.png" in output
    assert "Traceback" not in output
    assert not (project.root / "data/enhanced/broken").exists()
    assert not list(project.root.glob("**/.*.partial"))


def test_overlap_between_data_sets_is_counted(project: Project) -> None:
    original = (project.root / "params.yaml").read_bytes()
    project.add_data("one", {f"a/{n}.png": png(head(n)) for n in range(6)})
    project.add_data("two", {f"a/{n}.png": png(turn(head(n), n)) for n in range(4, 10)})
    params = project.params()
    block = json.loads(json.dumps(params["datasets"]["mine"])) | {"expect": {"counts": {}, "fingerprint": ""}}
    layout = {"path": "{label}/{file}", "labels": {"a": "a"}}
    params["datasets"] = {
        name: block | {"source": {"kind": "archive", "file": f"{name}.zip", "layout": layout}}
        for name in ("one", "two")
    }
    project.edit(params)
    try:
        assert "one, two: not in data/raw" in project.run("python", "src/overlap.py", code=1)
        for name in ("one", "two"):
            project.run("python", "src/download.py", name)
        project.run("python", "src/overlap.py")
    finally:
        (project.root / "params.yaml").write_bytes(original)
    shared = json.loads((project.root / "metrics/overlap/shared.json").read_text())
    assert shared["one"] == {"images": 6, "copied": {"two": 2}, "related": {"two": 2}}
    assert shared["two"] == {"images": 6, "copied": {"one": 2}, "related": {"one": 2}}
    images = pd.read_csv(project.root / "data/overlap/images.csv", keep_default_na=False)
    assert images.loc[images["copied_in"] != "", "path"].tolist() == [
        "one/a/4.png",
        "one/a/5.png",
        "two/a/4.png",
        "two/a/5.png",
    ]
    links = pd.read_csv(project.root / "data/overlap/links.csv")
    assert sorted(links["transform"]) == ["diagonal", "left-right"]
    assert (project.root / "plots/overlap/shared.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("edit", "command", "says"),
    [
        (("recipes.mine.train.epoch", 3), ("src/train.py", "mine"), "did you mean 'epochs'"),
        (("recipes.mine.enhance.operations", []), ("src/enhance.py", "mine"), "must end with their only resize"),
        (("datasets.mine.source.file", "no.zip"), ("src/download.py", "mine"), "DATA_ARCHIVES="),
        (("datasets.mine.expect.counts", {"disk": 1}), ("src/download.py", "mine"), "expected {'disk': 1}"),
        (("backbones.resnet50.weights.revision", "main"), ("src/weights.py", "resnet50"), "revision"),
        (("recipes.mine.classes", ["disk", "ring"]), ("src/enhance.py", "mine"), "ring"),
    ],
)
def test_bad_input_gives_one_clear_message(
    project: Project, edit: tuple[str, Any], command: tuple[str, str], says: str
) -> None:
    original = (project.root / "params.yaml").read_bytes()
    params = project.params()
    *path, last = edit[0].split(".")
    block = params
    for key in path:
        block = block[key]
    block[last] = edit[1]
    project.edit(params)
    before = sorted(str(path) for path in project.root.glob("data/**/*"))
    try:
        output = project.run("python", *command, code=1)
    finally:
        (project.root / "params.yaml").write_bytes(original)
    assert says in output
    assert "Traceback" not in output
    assert sorted(str(path) for path in project.root.glob("data/**/*")) == before
