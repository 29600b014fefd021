"""The whole pipeline on a small data set of the user, added by editing params.yaml alone."""

import json
import re
import sys
from typing import Any

import pandas as pd
import pytest

from brain_tumor.audit.transforms import apply_transform
from dvc_output import stages_run
from heads import head, png, shapes
from project import Project

REPORT = "stages/dvc.yaml:report@one"


@pytest.fixture(scope="module")
def project(reproduced: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return reproduced.copy(tmp_path_factory.mktemp("pipeline") / "project")


def test_pipeline_user_data_set_and_recipe_gives_report(project: Project) -> None:
    page = (project.root / "reports/one/report.html").read_text()
    assert "Not for clinical use" in page
    assert "Generated images" in page
    assert not re.search(r'(src|href)="http', page), "the page must be self-contained"
    test = json.loads((project.root / "metrics/one/test.json").read_text())
    assert test["published"]["n"] == test["clean"]["n"] == 4
    assert 0 <= test["published"]["accuracy"] <= 1
    split = json.loads((project.root / "metrics/one/split.json").read_text())
    assert set(split["straddling_groups"].values()) == {0}
    assert sum(split[part]["images"] for part in ("train", "validation", "conformal", "test")) == 24
    assert split["conformal"]["images"] == 2
    assert (project.root / "plots/one/sheets/grad-cam.png").stat().st_size > 10_000


def test_pipeline_forced_run_gives_same_bytes(project: Project) -> None:
    assert stages_run(project.run("dvc", "repro", REPORT)) == []
    before = project.lock()
    project.run("dvc", "repro", "-f", REPORT, WORKERS="1")
    assert project.lock() == before


def test_status_changed_learning_rate_train_and_report_are_stale(project: Project) -> None:
    params = project.params()
    params["recipes"]["twin"] = json.loads(json.dumps(params["recipes"]["one"]))
    project.edit(params)
    twin = "stages/dvc.yaml:split@twin"
    project.run("dvc", "repro", twin)
    params["recipes"]["one"]["train"]["optimizer"]["lr"] = 0.004
    before = (project.root / "params.yaml").read_bytes()
    project.edit(params)
    status = json.loads(project.run("dvc", "status", "--json", "--with-deps", REPORT, twin))
    changed = {name for name, reasons in status.items() if reasons != ["always changed"]}
    # Stages between the two depend on outputs of training only; the report shows the recipe's parameters.
    assert changed == {"stages/dvc.yaml:check_params", "stages/dvc.yaml:train@one", REPORT}
    (project.root / "params.yaml").write_bytes(before)


def test_split_planted_patient_on_both_sides_stops_the_stage(project: Project) -> None:
    """An audit that does not join the images of a patient must not lead to a split that divides them."""
    audit = project.root / "data/audit/mine.csv"
    before = audit.read_bytes()
    table = pd.read_csv(audit, dtype=str, keep_default_na=False)
    audit.chmod(0o644)
    table.assign(patient="planted").to_csv(audit, index=False)
    output = project.run(sys.executable, "src/split.py", "one", code=1)
    audit.write_bytes(before)
    assert "patient planted has images in the parts conformal and test and train and validation" in output
    assert "Traceback" not in output


def test_preprocess_unreadable_image_is_named_and_no_output_is_left(project: Project) -> None:
    files = shapes(6)
    files["disks/03.png"] = files["disks/03.png"][:60]
    project.add_data("mine", files)
    project.run("python", "src/download.py", "mine", code=1)  # counts differ from `expected`
    params = project.params()
    params["datasets"]["broken"] = json.loads(json.dumps(params["datasets"]["mine"]))
    params["datasets"]["broken"]["expected"]["counts"] = {}
    params["recipes"]["broken"] = json.loads(json.dumps(params["recipes"]["one"])) | {"dataset": "broken"}
    project.edit(params)
    project.run("python", "src/download.py", "broken")
    assert "disks/03.png: unreadable" in project.run("python", "src/audit.py", "broken")
    output = project.run("python", "src/preprocess.py", "broken", code=1)
    assert "disks/03.png" in output
    assert "Traceback" not in output
    assert not (project.root / "data/enhanced/broken").exists()
    assert not list(project.root.glob("**/.*.partial"))


def test_overlap_data_sets_with_transformed_copies_are_counted(project: Project) -> None:
    original = (project.root / "params.yaml").read_bytes()
    project.add_data("one", {f"a/{n}.png": png(head(n)) for n in range(6)})
    project.add_data("two", {f"a/{n}.png": png(apply_transform(head(n), n)) for n in range(4, 10)})
    params = project.params()
    block = json.loads(json.dumps(params["datasets"]["mine"])) | {"expected": {"counts": {}, "fingerprint": ""}}
    layout = {"path": "{label}/{file}", "labels": {"a": "a"}}
    params["datasets"] = {
        name: block | {"source": {"kind": "archive", "file": f"{name}.zip", "layout": layout}}
        for name in ("one", "two")
    }
    project.edit(params)
    try:
        assert "one, two: not in data/raw" in project.run("python", "src/studies/overlap.py", code=1)
        for name in ("one", "two"):
            project.run("python", "src/download.py", name)
        project.run("python", "src/studies/overlap.py")
        project.run("python", "src/studies/plot_overlap.py")
    finally:
        (project.root / "params.yaml").write_bytes(original)
    shared = json.loads((project.root / "metrics/overlap/shared.json").read_text())
    assert shared["one"] == {"images": 6, "duplicate": {"two": 2}, "same_group": {"two": 2}}
    assert shared["two"] == {"images": 6, "duplicate": {"one": 2}, "same_group": {"one": 2}}
    images = pd.read_csv(project.root / "data/overlap/images.csv", keep_default_na=False)
    assert images.loc[images["duplicate_in"] != "", "path"].tolist() == [
        "one/a/4.png",
        "one/a/5.png",
        "two/a/4.png",
        "two/a/5.png",
    ]
    links = pd.read_csv(project.root / "data/overlap/links.csv")
    assert sorted(links["transform"]) == ["diagonal", "left-right"]
    assert (project.root / "plots/overlap/shared.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("edit", "command", "message"),
    [
        (("recipes.one.train.epoch", 3), ("src/train.py", "one"), "did you mean 'epochs'"),
        (("recipes.one.preprocess.operations", []), ("src/preprocess.py", "one"), "must end with their only resize"),
        (("datasets.mine.source.file", "no.zip"), ("src/download.py", "mine"), "DATA_ARCHIVES="),
        (("datasets.mine.expected.counts", {"disk": 1}), ("src/download.py", "mine"), "expected {'disk': 1}"),
        (("backbones.hub.weights.revision", "main"), ("src/weights.py", "hub"), "revision"),
        (("recipes.one.classes", ["disk", "ring"]), ("src/preprocess.py", "one"), "ring"),
    ],
)
def test_stage_invalid_params_gives_one_clear_message(
    project: Project, edit: tuple[str, Any], command: tuple[str, str], message: str
) -> None:
    original = (project.root / "params.yaml").read_bytes()
    params = project.params()
    *path, last = edit[0].split(".")
    params["backbones"]["hub"] = Project.default_params()["backbones"]["resnet50"]
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
    assert message in output
    assert "Traceback" not in output
    assert sorted(str(path) for path in project.root.glob("data/**/*")) == before
