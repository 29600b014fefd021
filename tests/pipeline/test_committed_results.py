"""The committed figures, computed again from the committed predictions with a few lines of scikit-learn."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    brier_score_loss,
    cohen_kappa_score,
    f1_score,
    log_loss,
    matthews_corrcoef,
    precision_score,
    recall_score,
    roc_auc_score,
)

from project import ROOT

PREDICTIONS = ROOT / "data/predictions"
CROSSVAL = sorted(PREDICTIONS.glob("*-crossval.csv"))
TESTED = [path for path in sorted(PREDICTIONS.glob("*.csv")) if path not in CROSSVAL]
Metrics = dict[tuple[str, str, str, str], dict[str, float]]


def read_predictions(file: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read a table of predictions with its classes."""
    table = pd.read_csv(file, keep_default_na=False)
    return table, [str(column).removeprefix("p_") for column in table if str(column).startswith("p_")]


def read_metrics(file: Path) -> tuple[Metrics, Metrics]:
    """Read metrics that belong to a table of predictions: by model, subset, class and metric; differences by model."""
    own = ROOT / f"metrics/{file.stem}/metrics.csv"
    # Of the cross-validation by patients, unless the name of a recipe ends like this.
    by_patient = ROOT / f"metrics/{file.stem.removesuffix('-patients')}/patients.csv"
    table = pd.read_csv(own if own.exists() else by_patient, keep_default_na=False)
    table = table[(table[["reference_subset", "attribute"]] == "").all(axis=1)].replace(
        {"subset": {"all": "published"}}
    )
    numbers = ["n", "value", "low", "high"]
    table[numbers] = table[numbers].apply(pd.to_numeric)
    result: list[Any] = []
    for model, part in (("model", table[table["reference"] == ""]), ("reference", table[table["reference"] != ""])):
        keys = part[[model, "subset", "class", "metric"]].itertuples(index=False, name=None)
        result.append(dict(zip(keys, part[numbers].to_dict("records"), strict=True)))
    return result[0], result[1]


def compute_metrics(truth: pd.Series, predicted: pd.Series) -> dict[str, float]:
    """Compute the metrics of all classes together that need no probabilities."""
    present = sorted(set(truth))
    return {
        "accuracy": accuracy_score(truth, predicted),
        "balanced_accuracy": balanced_accuracy_score(truth, predicted),
        "macro_f1": f1_score(truth, predicted, labels=present, average="macro", zero_division=0),
        "mcc": matthews_corrcoef(truth, predicted),
        "kappa": cohen_kappa_score(truth, predicted),
    }


def check(line: dict[str, float], value: float, n: int, tolerance: float = 1e-4) -> None:
    """Compare a line of metrics.csv with a value; it has its n, and an interval around the value or none."""
    assert line["value"] == pytest.approx(value, abs=tolerance)
    assert line["n"] == n
    assert np.isnan(line["low"]) or line["low"] <= line["value"] <= line["high"]


def unknown_area(positive: pd.Series, scores: Any) -> float:
    """Return how much the area under the ROC curve may differ where rounding has made scores (N,) equal."""
    levels = np.unique(scores, return_inverse=True)[1]
    own, other = (np.bincount(levels[rows], minlength=levels.max() + 1) for rows in (positive, ~positive))
    return float((own * other).sum() / (own.sum() * other.sum()) / 2)


def check_log_loss(line: dict[str, float], truth: pd.Series, p: Any, labels: list[str]) -> None:
    """Compare a log loss with that of probabilities (N, K), which are rounded to 4 digits.

    Where the true class has nearly no probability, rounding decides what it costs: then only limits are known.
    """
    true_p = p[np.arange(len(p)), [labels.index(label) for label in truth]]
    if true_p.min() >= 1e-3:
        check(line, log_loss(truth, p, labels=labels), len(truth), 5e-3)
        return
    low, high = (-np.log((true_p + half_digit).clip(np.finfo(float).eps, 1)).mean() for half_digit in (5e-5, -5e-5))
    check(line, min(max(line["value"], low), high), len(truth))


@pytest.mark.parametrize("file", TESTED, ids=lambda file: file.stem)
def test_committed_metrics_are_those_of_the_committed_predictions(file: Path) -> None:
    metrics, _ = read_metrics(file)
    predictions, classes = read_predictions(file)
    for subset, rows in (("published", predictions), ("clean", predictions[predictions["leak"] == ""])):
        if rows.empty:
            assert subset not in {key[1] for key in metrics}
            continue
        truth, predicted, p = (
            rows["label"],
            rows["predicted"],
            rows[[f"p_{label}" for label in classes]].to_numpy(float),
        )
        for metric, value in compute_metrics(truth, predicted).items():
            check(metrics["model", subset, "", metric], value, len(rows))
        present = [(k, label) for k, label in enumerate(classes) if (truth == label).any()]
        areas = [roc_auc_score(truth == label, p[:, k]) for k, label in present if len(present) > 1]
        unknown = [unknown_area(truth == label, p[:, k]) for k, label in present if len(present) > 1]
        check(metrics["model", subset, "", "auroc"], float(np.mean(areas)), len(rows), float(np.mean(unknown)) + 1e-4)
        order = np.argsort(classes)
        p_sorted = p[:, order] / p.sum(1, keepdims=True)
        brier = brier_score_loss(truth, p_sorted, labels=sorted(classes), scale_by_half="auto")
        check(metrics["model", subset, "", "brier"], brier, len(rows), 1e-3)
        check_log_loss(metrics["model", subset, "", "log_loss"], truth, p_sorted, sorted(classes))
        for (_, label), area, tolerance in zip(present, areas, unknown, strict=True):
            own, hits, n = truth == label, predicted == label, int((truth == label).sum())
            check(metrics["model", subset, label, "recall"], recall_score(own, hits), n)
            check(metrics["model", subset, label, "specificity"], recall_score(~own, ~hits), n)
            check(metrics["model", subset, label, "precision"], precision_score(own, hits), n)
            check(metrics["model", subset, label, "auroc"], area, n, tolerance + 1e-4)


@pytest.mark.parametrize("file", TESTED, ids=lambda file: file.stem)
def test_committed_baselines_and_gains_are_those_of_the_committed_predictions(file: Path) -> None:
    metrics, differences = read_metrics(file)
    predictions, _ = read_predictions(file)
    baselines = {key[0] for key in metrics} - {"model", "uncalibrated", "patient mean", "largest class"}
    assert baselines == {"majority", "nearest thumbnail", "intensity statistics", "file metadata", "HOG + SVM"}
    for subset, rows in (("published", predictions), ("clean", predictions[predictions["leak"] == ""])):
        if rows.empty:
            continue
        own = compute_metrics(rows["label"], rows["predicted"])
        largest = rows["label"].value_counts(normalize=True).iloc[0]
        check(metrics["largest class", subset, "", "accuracy"], largest, len(rows))
        for baseline in baselines:
            for metric, value in compute_metrics(rows["label"], rows[baseline]).items():
                check(metrics[baseline, subset, "", metric], value, len(rows))
                check(differences[baseline, subset, "", metric], own[metric] - value, len(rows), 2e-4)
    if "source_label" in predictions:
        corrected = predictions["source_label"].where(predictions["source_label"] != "", predictions["label"])
        if corrected.equals(predictions["label"]):
            assert "corrected" not in {key[1] for key in metrics}
            return
        for model, column in (("model", "predicted"), *((baseline, baseline) for baseline in baselines)):
            for metric, value in compute_metrics(corrected, predictions[column]).items():
                check(metrics[model, "corrected", "", metric], value, len(predictions))


@pytest.mark.parametrize("file", CROSSVAL, ids=lambda file: file.stem)
def test_committed_crossval_is_that_of_the_committed_predictions(file: Path) -> None:
    summary = json.loads((ROOT / f"metrics/{file.stem.removesuffix('-crossval')}/crossval.json").read_text())
    predictions, _ = read_predictions(file)
    folds = [compute_metrics(fold["label"], fold["predicted"]) for _, fold in predictions.groupby(["repeat", "fold"])]
    assert len(folds) == summary["folds"] * summary["repeats"]
    for metric in ("accuracy", "balanced_accuracy", "macro_f1", "mcc"):
        assert summary[metric] == pytest.approx(np.mean([fold[metric] for fold in folds]), abs=2e-3)
    for _, one in predictions.groupby("repeat"):
        assert one["row"].is_unique
        assert one["label"].value_counts().to_dict() == summary["classes"]
        assert len(one) == summary["n"]


def test_committed_external_metrics_are_those_of_the_committed_confusion_matrices() -> None:
    table = pd.read_csv(ROOT / "metrics/external/metrics.csv").set_index(["recipe", "dataset", "metric"])
    summary = json.loads((ROOT / "metrics/external/summary.json").read_text())
    compared = 0
    for recipe, by_dataset in summary.items():
        for dataset, one in by_dataset.items():
            counts = np.array(one["confusion"])
            true, predicted = (
                pd.Series(np.repeat(index, counts.ravel())) for index in np.indices(counts.shape).reshape(2, -1)
            )
            for metric in ("accuracy", "balanced_accuracy", "macro_f1", "mcc"):
                line = table.xs((recipe, dataset, metric))
                assert line["value"] == pytest.approx(compute_metrics(true, predicted)[metric], abs=1e-4)
                assert line["n"] == len(true) == one["n"]
                compared += 1
    assert (
        compared
        == table.index.get_level_values("metric").isin(["accuracy", "balanced_accuracy", "macro_f1", "mcc"]).sum()
    )


def test_committed_predictions_are_there_for_every_committed_result() -> None:
    expected = {
        file.parent.name + suffix
        for name, suffix in (("metrics.csv", ""), ("patients.csv", "-patients"), ("crossval.json", "-crossval"))
        for file in (ROOT / "metrics").glob(f"*/{name}")
        if file.parent.name != "external"
    }
    assert expected
    assert expected == {file.stem for file in PREDICTIONS.glob("*.csv")}
