"""Charts of an evaluation: files, and what is drawn in them."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from brain_tumor.evaluation.curves import compute_curves
from brain_tumor.evaluation.probabilities import compared_subsets
from brain_tumor.plotting import evaluation as charts
from predictions import CLASSES, make_predictions


def make_curves(two_classes: bool = False) -> dict[str, pd.DataFrame]:
    test = make_predictions()
    truth, probabilities = test.truth, test.calibrated
    if two_classes:
        truth, probabilities = np.minimum(truth, 1), np.stack([probabilities[:, 0], 1 - probabilities[:, 0]], 1)
    return compute_curves(truth, probabilities, compared_subsets(test.clean), CLASSES[: probabilities.shape[1]])


def make_areas() -> pd.DataFrame:
    keys = [(subset, label) for subset in ("published", "clean") for label in CLASSES]
    return pd.DataFrame(keys, columns=["subset", "class"]).assign(value=0.9, low=0.8, high=0.95)


def make_accuracy() -> pd.DataFrame:
    keys = [(name, subset) for name in ("original", "blur 1 px") for subset in ("published", "clean")]
    return pd.DataFrame(keys, columns=["perturbation", "subset"]).assign(n=60, value=0.9, low=0.8, high=0.95)


def make_matrix() -> pd.DataFrame:
    return pd.DataFrame([("one", "x", 9, 0.7, 0.5, 0.9)], columns=["recipe", "dataset", "n", "value", "low", "high"])


CONFIDENCE = {"published": make_predictions().calibrated.max(1), "clean": make_predictions().calibrated[:40].max(1)}
ERRORS = {("published", "before"): "0.100 (0.050–0.200)"}
CHARTS: dict[str, Callable[[Path], Any]] = {
    "confusion": lambda path: charts.plot_confusion_matrices(path, {"published": np.eye(3, dtype=int)}, CLASSES, "t"),
    "roc": lambda path: charts.plot_roc(path, make_curves()["roc"], make_areas(), "t"),
    "pr": lambda path: charts.plot_precision_recall(path, make_curves()["pr"], make_areas(), "t"),
    "reliability": lambda path: charts.plot_reliability(
        path, make_curves()["reliability"], make_curves()["reliability"], CONFIDENCE, ERRORS, "t"
    ),
    "coverage": lambda path: charts.plot_coverage(path, make_curves()["coverage"], "t"),
    "decision": lambda path: charts.plot_decision_curve(path, make_curves(two_classes=True)["decision"], "a", "t"),
    "robustness": lambda path: charts.plot_robustness(path, make_accuracy(), "t"),
    "matrix": lambda path: charts.plot_metric_matrix(path, make_matrix(), ["one"], ["x", "y"], {("one", "x")}, "t"),
}


PNG_CHARTS = ("confusion", "matrix")


@pytest.mark.parametrize("name", CHARTS)
def test_chart_drawn_twice_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    for number in (0, 1):
        CHARTS[name](tmp_path / f"{number}.chart")
    first = (tmp_path / "0.chart").read_bytes()
    assert first.startswith(b"\x89PNG" if name in PNG_CHARTS else b"<?xml")
    assert len(first) > 5000
    assert first == (tmp_path / "1.chart").read_bytes()


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("roc", "a 0.900 (0.800–0.950)"),
        ("pr", "a 0.900 (0.800–0.950)"),
        ("reliability", "before temperature scaling: 0.100"),
        ("coverage", "on 100%"),
        ("decision", "threshold 0.50: model"),
        ("robustness", "blur 1 px 0.900 (0.800–0.950)"),
    ],
)
def test_chart_description_has_the_numbers(name: str, number: str, tmp_path: Path) -> None:
    CHARTS[name](tmp_path / "chart.svg")
    text = (tmp_path / "chart.svg").read_text()
    description = text[text.index("<desc>") : text.index("</desc>")]
    assert number in description


def test_curves_of_classes_differ_in_style_not_only_in_color(tmp_path: Path) -> None:
    CHARTS["roc"](tmp_path / "chart.svg")
    text = (tmp_path / "chart.svg").read_text()
    dashes = set(re.findall(r"stroke-dasharray: [^;]+", text))
    assert len(dashes) >= len(CLASSES), "dashes of all but one class, and of the diagonal"
