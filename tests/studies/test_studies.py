"""The studies on a tiny recipe, through DVC."""

import json
import shutil
from typing import Any

import numpy as np
import pandas as pd
import pytest

from brain_tumor.imaging.decode import decode_gray
from dvc_output import stages_run
from heads import head, png, shapes
from project import ROOT, Project

ONE = [{"name": "one", "backbone": "none"}]
STUDIES = ("crossval", "patients", "seeds", "protocol", "permuted", "overlap", "external", "localization")


@pytest.fixture(scope="module")
def project(reproduced: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = reproduced.copy(tmp_path_factory.mktemp("studies") / "project")
    for name in STUDIES:
        study = f"stages/{name}"
        shutil.copytree(ROOT / study, project.root / study, ignore=shutil.ignore_patterns("dvc.lock"))
    # Some images of the second data set are duplicates of images of the first one.
    duplicates = {name.replace("s/", "es/"): content for name, content in shapes(4).items()}
    project.add_data("other", duplicates | {f"crosses/{n}.png": png(head(900 + n, 48)) for n in range(6)})
    params = project.params()
    layout = {"path": "{label}/{file}", "labels": {"crosses": "cross", "diskes": "disk"}}
    params["datasets"]["other"] = {
        "source": {"kind": "archive", "file": "other.zip", "layout": layout},
        "expected": {"counts": {"cross": 10, "disk": 4}, "fingerprint": ""},
        "patients": "provenance/none.csv",
        "info": {"title": "Other shapes", "url": "", "license": "none", "generated": True},
    }
    params["crossval"] |= {"recipes": ONE, "repeats": [0, 1], "folds": [0, 1]}
    params["patients"] |= {"recipes": ONE, "folds": [1, 2], "validation": 0.2, "rounds": 100}
    params["seeds"] = {"recipes": ONE, "values": [1, 2]}
    params["protocol"] = {"recipes": ONE}
    params["permuted"] = {"recipes": ONE, "images": 4, "seed": 0}
    # The archive lacks masks of every second image.
    masks = {}
    for path, content in list(shapes().items())[::2]:
        left_half = np.zeros_like(decode_gray(content))
        left_half[:, : left_half.shape[1] // 2] = 255
        masks[path] = png(left_half)
    project.add_data("masks", masks)
    params["localization"] = {"recipes": [{"name": "one", "dataset": "mine", "masks": "masks.zip"}]}
    params["external"] |= {"recipes": ["one"], "datasets": ["mine", "other"]}
    project.edit(params)
    overlap = project.root / "stages/overlap/dvc.yaml"
    text = overlap.read_text().replace("phantom navoneel nickparvar", "mine other")
    lines = [line for line in text.splitlines() if "navoneel.zip" not in line]
    text = "\n".join(lines).replace("phantom.zip", "mine.zip").replace("nickparvar.zip", "other.zip")
    overlap.write_text(text + "\n")
    by_patient = project.root / "stages/patients/dvc.yaml"
    by_patient.write_text(by_patient.read_text().replace("nickparvar.zip", "mine.zip"))
    project.run("dvc", "repro", *(f"stages/{name}/dvc.yaml" for name in STUDIES))
    return project


def read_metrics(project: Project, name: str) -> Any:
    return json.loads((project.root / f"metrics/{name}.json").read_text())


def test_crossval_tests_every_image_once_in_each_repeat(project: Project) -> None:
    summary = read_metrics(project, "one/crossval")
    assert (summary["n"], summary["folds"], summary["repeats"]) == (24, 2, 2)
    assert summary["accuracy_low"] <= summary["accuracy"] <= summary["accuracy_high"]
    for repeat in (0, 1):
        predictions = pd.read_csv(project.root / f"data/crossval/one/{repeat}.csv")
        assert sorted(predictions["row"]) == list(range(24))
        assert set(predictions["fold"]) == {0, 1}
    assert (project.root / "plots/one/crossval.png").stat().st_size > 5000


def test_crossval_changed_recipe_makes_its_folds_stale(project: Project) -> None:
    study = "stages/crossval/dvc.yaml"
    assert stages_run(project.run("dvc", "repro", study)) == []
    params = project.params()
    params["recipes"]["one"]["train"]["optimizer"]["lr"] = 0.5
    before = (project.root / "params.yaml").read_bytes()
    project.edit(params)
    stale = json.loads(project.run("dvc", "status", "--json", study))
    (project.root / "params.yaml").write_bytes(before)
    assert len([name for name in stale if ":repeat@" in name]) == 2


def test_patients_tests_every_image_in_the_fold_of_its_patient(project: Project) -> None:
    folds = {fold: pd.read_csv(project.root / f"data/patients/one/{fold}.csv") for fold in (1, 2)}
    predictions = pd.concat(folds.values())
    assert sorted(predictions["row"]) == list(range(24))
    table = pd.read_csv(project.root / "provenance/mine.csv").set_index("sha256")["fold"]
    split = pd.read_csv(project.root / "data/split/one.csv", keep_default_na=False).set_index("row")
    rows = pd.read_csv(project.root / "data/enhanced/one/rows.csv").set_index("row")
    for fold, one in folds.items():
        tested = rows.loc[one["row"]]
        own = tested["sha256"].map(table)
        # Whole groups: images of two patients that look alike are tested together.
        alone = split.loc[one["row"], "group"].map(split["group"].value_counts()) == 1
        assert (own[alone] == fold).all()
    summary = read_metrics(project, "one/patients")
    assert (summary["all"]["n"], summary["folds"], summary["generated_images"]) == (24, 2, True)
    accuracy = (predictions["label"] == predictions[["p_cross", "p_disk"]].idxmax(axis=1).str[2:]).mean()
    assert summary["all"]["accuracy"] == pytest.approx(accuracy, abs=1e-4)
    metrics = pd.read_csv(project.root / "metrics/one/patients.csv", keep_default_na=False)
    assert {"model", "majority", "HOG + SVM", "largest class"} <= set(metrics["model"])
    assert "published" not in {*metrics["subset"], *metrics["reference_subset"]}
    best = summary["best_baseline"]
    page = (project.root / "reports/patients/one.html").read_text()
    assert f"Accuracy {summary['all']['accuracy']:.3f}" in page
    assert "Generated images." in page
    assert f"{best['name']}: {best['accuracy']:.3f}" in page
    assert best["gain"] == pytest.approx(summary["all"]["accuracy"] - best["accuracy"], abs=2e-4)


def test_localization_measures_test_images_with_a_mask(project: Project) -> None:
    with np.load(project.root / "data/masks/one.npz") as stored:
        rows, size = stored["rows"], int(stored["size"])
        masks = np.unpackbits(stored["masks"], axis=-1, count=size)
    images = pd.read_csv(project.root / "data/enhanced/one/rows.csv").set_index("row")
    assert sorted(images.loc[rows, "path"]) == sorted(set(list(shapes())[::2]) & set(images["path"]))
    assert masks[:, size // 2, : size // 2 - 1].all()
    assert not masks[:, :, size // 2 + 1 :].any()
    split = pd.read_csv(project.root / "data/split/one.csv").set_index("row")
    with_mask = split.loc[rows, "part"].value_counts()
    summary = read_metrics(project, "one/localization")
    assert summary["model"]["test_images_with_mask"] == with_mask["test"]
    assert summary["model"]["training_images_with_mask"] == with_mask["train"]
    table = pd.read_csv(project.root / "metrics/one/localization.csv", keep_default_na=False)
    overall = table[table["class"] == ""]
    assert {"pointing", "relevance_inside", "iou_best", "iou_half", "area"} <= set(overall["metric"])
    assert set(overall["n"]) == {with_mask["test"]}
    assert {"grad-cam", "mean mask"} & set(overall["map"])


def test_seeds_summary_is_over_all_seeds(project: Project) -> None:
    summary = read_metrics(project, "one/seeds")
    assert summary["published"]["seeds"] == 2
    assert summary["published"]["accuracy_lowest"] <= summary["published"]["accuracy"]


def test_protocol_trains_on_all_but_the_test_rows(project: Project) -> None:
    summary = read_metrics(project, "one/protocol")
    predictions = pd.read_csv(project.root / "data/protocol/one.csv")
    split = read_metrics(project, "one/split")
    assert summary["n"] == len(predictions) == split["test"]["images"]
    assert predictions["num_train"][0] == sum(split[part]["images"] for part in ("train", "validation", "conformal"))


def test_external_leaves_out_images_related_to_the_training_data(project: Project) -> None:
    summary = read_metrics(project, "external/summary")
    assert set(summary) == {"one"}
    assert set(summary["one"]) == {"other"}, "the recipe's own data set is not external"
    predictions = pd.read_csv(project.root / "data/external/one-other.csv")
    assert sorted(predictions["path"]) == [f"crosses/{n}.png" for n in range(6)]
    assert summary["one"]["other"]["n"] == 6
    assert (project.root / "plots/external/balanced_accuracy.png").stat().st_size > 5000


def test_evaluate_measures_what_the_recipe_names(project: Project) -> None:
    metrics = pd.read_csv(project.root / "metrics/one/metrics.csv", keep_default_na=False)
    accuracy = metrics[(metrics["metric"] == "accuracy") & (metrics["class"] == "")]
    assert {"published", "clean", "train"} <= set(accuracy["subset"])
    assert {"", "clean"} == set(accuracy["reference_subset"])
    assert {"model", "majority", "HOG + SVM", "uncalibrated"} <= set(accuracy["model"])
    assert {"", "HOG + SVM"} <= set(accuracy["reference"])
    robustness = pd.read_csv(project.root / "metrics/one/robustness.csv", keep_default_na=False)
    assert set(robustness["perturbation"]) == {"original", "left-right flip"}
    assert set(robustness["reference"]) == {"", "original"}


def test_plot_evaluation_draws_all_charts(project: Project) -> None:
    folder = project.root / "plots/one/charts"
    assert (folder / "confusion.png").stat().st_size > 5000
    for chart in ("roc", "pr", "reliability", "coverage", "decision", "robustness"):
        assert "<desc>" in (folder / f"{chart}.svg").read_text()


def test_permuted_compares_maps_with_intervals(project: Project) -> None:
    study = read_metrics(project, "one/permuted")
    assert (study["n"], study["majority"], study["generated_images"]) == (4, 0.5, True)
    for method in ("hires-cam", "grad-cam"):
        value, low, high = study[method]["interval"].get("rank_correlation", (0, 0, 0))  # all maps may be empty
        assert study[method].get("rank_correlation", 0) == value
        assert -1 <= low <= value <= high <= 1
        assert study[method]["unchanged"] == (low >= 0.5)


def test_explain_measures_and_draws_all_maps(project: Project) -> None:
    metrics = pd.read_csv(project.root / "metrics/one/explain.csv", keep_default_na=False)
    absolute = metrics[metrics["baseline"] == ""]
    names = {key: set(part["metric"]) for key, part in absolute.groupby("map")}
    expected = {"deletion", "insertion", "randomization_correlation", "mirrored", "relevance"}
    assert expected <= names["hires-cam"]
    assert names[""] == {"accuracy", "accuracy_change", "smallest_class_images"}
    assert set(metrics.loc[metrics["map"] == "", "region"]) == {"", "head", "outside_head"}
    assert {"deletion", "insertion", "mirrored", "relevance"} <= names["random order"]
    differences = metrics[(metrics["map"] == "hires-cam") & (metrics["metric"] == "deletion")]
    assert {"", "center"} <= set(differences["baseline"])
    for chart in ("maps/mean", "maps/removal", "maps/randomized", "sheets/grad-cam", "sheets/all-methods"):
        assert (project.root / f"plots/one/{chart}.png").stat().st_size > 5000


def test_report_contains_the_checks_of_the_explanations(project: Project) -> None:
    report = (project.root / "reports/one/report.html").read_text()
    assert "faithful (deletion/insertion)" in report
    assert "No test image has a mask" in report
