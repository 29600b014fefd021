"""The studies on a tiny recipe, through DVC."""

import json
import shutil

import pandas as pd
import pytest
from heads import head, png, shapes
from project import ROOT, Project

ONE = [{"name": "one", "backbone": "none"}]
STUDIES = ("crossval", "seeds", "protocol", "permuted", "overlap", "external")


@pytest.fixture(scope="module")
def project(reproduced: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = reproduced.copy(tmp_path_factory.mktemp("studies") / "project")
    for name in STUDIES:
        study = f"stages/{name}"
        shutil.copytree(ROOT / study, project.root / study, ignore=shutil.ignore_patterns("dvc.lock"))
    # Some of the other set's images are copies of the first one's.
    copies = {name.replace("s/", "es/"): content for name, content in shapes(4).items()}
    project.add_data("other", copies | {f"crosses/{n}.png": png(head(900 + n, 48)) for n in range(6)})
    params = project.params()
    layout = {"path": "{label}/{file}", "labels": {"crosses": "cross", "diskes": "disk"}}
    params["datasets"]["other"] = {
        "source": {"kind": "archive", "file": "other.zip", "layout": layout},
        "expect": {"counts": {"cross": 10, "disk": 4}, "fingerprint": ""},
        "about": {"title": "Other shapes", "url": "", "license": "none", "generated": True},
    }
    params["crossval"] |= {"recipes": ONE, "repeats": [0, 1], "folds": [0, 1]}
    params["seeds"] = {"recipes": ONE, "values": [1, 2]}
    params["protocol"] = {"recipes": ONE}
    params["permuted"] = {"recipes": ONE, "images": 4, "seed": 0}
    params["external"] |= {"recipes": ["one"], "datasets": ["mine", "other"]}
    project.edit(params)
    overlap = project.root / "stages/overlap/dvc.yaml"
    text = overlap.read_text().replace("phantom navoneel nickparvar", "mine other")
    lines = [line for line in text.splitlines() if "navoneel.zip" not in line]
    text = "\n".join(lines).replace("phantom.zip", "mine.zip").replace("nickparvar.zip", "other.zip")
    overlap.write_text(text + "\n")
    project.run("dvc", "repro", *(f"stages/{name}/dvc.yaml" for name in STUDIES))
    return project


def metrics(project: Project, name: str) -> dict[str, float]:
    found: dict[str, float] = json.loads((project.root / f"metrics/{name}.json").read_text())
    return found


def test_every_image_is_tested_once_in_each_repeat(project: Project) -> None:
    found = metrics(project, "one/crossval")
    assert (found["n"], found["folds"], found["repeats"]) == (24, 2, 2)
    assert found["accuracy_low"] <= found["accuracy"] <= found["accuracy_high"]
    for repeat in (0, 1):
        files = [project.root / f"data/crossval/one/{repeat}-{fold}.csv" for fold in (0, 1)]
        tested = pd.concat([pd.read_csv(file) for file in files])
        assert sorted(tested["row"]) == list(range(24))
    assert (project.root / "plots/one/crossval.png").stat().st_size > 5000


def test_a_changed_recipe_makes_its_folds_stale_and_a_second_run_does_nothing(project: Project) -> None:
    study = "stages/crossval/dvc.yaml"
    assert "Running stage" not in project.run("dvc", "repro", study)
    params = project.params()
    params["recipes"]["one"]["train"]["optimizer"]["lr"] = 0.5
    before = (project.root / "params.yaml").read_bytes()
    project.edit(params)
    stale = json.loads(project.run("dvc", "status", "--json", study))
    (project.root / "params.yaml").write_bytes(before)
    assert len([name for name in stale if ":fold@" in name]) == 4


def test_seeds_are_summed_up(project: Project) -> None:
    found = json.loads((project.root / "metrics/one/seeds.json").read_text())
    assert found["published"]["seeds"] == 2
    assert found["published"]["accuracy_lowest"] <= found["published"]["accuracy"]


def test_the_protocol_trains_on_all_but_the_test_rows(project: Project) -> None:
    found = metrics(project, "one/protocol")
    predictions = pd.read_csv(project.root / "data/protocol/one.csv")
    split = json.loads((project.root / "metrics/one/split.json").read_text())
    assert found["n"] == len(predictions) == split["test"]["images"]
    assert predictions["trained"][0] == split["train"]["images"] + split["validation"]["images"]


def test_the_external_set_is_without_the_images_that_training_has(project: Project) -> None:
    found = json.loads((project.root / "metrics/external/summary.json").read_text())
    assert set(found) == {"one on other"}, "the recipe's own data set is not external"
    asked = pd.read_csv(project.root / "data/external/one-other.csv")
    assert sorted(asked["path"]) == [f"crosses/{n}.png" for n in range(6)]
    assert found["one on other"]["n"] == 6


def test_the_evaluation_measures_what_the_recipe_asks_for(project: Project) -> None:
    figures = pd.read_csv(project.root / "metrics/one/figures.csv", keep_default_na=False)
    accuracy = figures[(figures["figure"] == "accuracy") & (figures["class"] == "")]
    assert {"published", "clean", "train rows", "published − clean"} <= set(accuracy["subset"])
    assert {"majority", "HOG + SVM", "model − HOG + SVM", "uncalibrated"} <= set(accuracy["model"])
    robustness = pd.read_csv(project.root / "metrics/one/robustness.csv")
    assert set(robustness["alteration"]) == {"unaltered", "left-right flip", "left-right flip − unaltered"}
    for chart in ("confusion", "roc", "pr", "reliability", "coverage", "decision", "robustness", "errors"):
        assert (project.root / f"plots/one/charts/{chart}.png").stat().st_size > 5000


def test_maps_are_compared_with_those_of_permuted_labels(project: Project) -> None:
    found = json.loads((project.root / "metrics/one/permuted.json").read_text())
    assert (found["n"], found["majority"], found["generated_images"]) == (4, 0.5, True)
    for method in ("grad-cam", "grad-cam++"):
        value, low, high = found[method]["interval"].get("rank_correlation", (0, 0, 0))  # all maps may be empty
        assert found[method].get("rank_correlation", 0) == value
        assert -1 <= low <= value <= high <= 1
        assert found[method]["unchanged"] == (low >= 0.5)


def test_the_explanations_are_measured_and_drawn(project: Project) -> None:
    found = pd.read_csv(project.root / "metrics/one/explain.csv", keep_default_na=False)
    of_method = set(found.loc[found["map"] == "grad-cam++", "figure"])
    assert {
        "deletion_over_center",
        "road",
        "infidelity",
        "max_sensitivity",
        "untrained",
        "mirrored",
        "outside_head",
    } <= of_method
    assert set(found.loc[found["map"] == "the model", "figure"]) >= {"accuracy", "accuracy_head_alone"}
    assert set(found.loc[found["map"] == "random order", "figure"]) == {"deletion", "insertion", "road"}
    for chart in ("maps/mean", "maps/removal", "maps/randomized", "sheets/grad-cam", "sheets/all-methods"):
        assert (project.root / f"plots/one/{chart}.png").stat().st_size > 5000
    report = (project.root / "reports/one/report.html").read_text()
    assert "Does the model use what it marks?" in report
    assert "No test image has a mask" in report
