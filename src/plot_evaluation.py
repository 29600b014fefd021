"""Draw the charts of a recipe's evaluation."""

from pathlib import Path

import numpy as np
import pandas as pd

from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs
from brain_tumor.core.params import read_params
from brain_tumor.core.subsets import MODEL, UNCALIBRATED
from brain_tumor.core.tables import is_clean, read_table
from brain_tumor.core.types import Masks
from brain_tumor.evaluation.curves import compute_curves
from brain_tumor.evaluation.probabilities import TestProbabilities, compared_subsets, load_probabilities
from brain_tumor.metrics.classification import count_confusion, wilson_interval
from brain_tumor.plotting import evaluation as charts

INTERVAL = ("n", "value", "low", "high")
MIN_BIN_IMAGES = 20  # of a bin of the reliability diagram


def main(name: str) -> None:
    """Write plots/<recipe>/charts: confusion matrices, curves, robustness; a decision curve of two classes."""
    classes = read_params(PARAMS, f"recipes.{name}.classes", tuple[str, ...])
    dataset = read_params(PARAMS, f"recipes.{name}.dataset", str)
    generated = read_params(PARAMS, f"datasets.{dataset}.info.generated", bool)
    title = f"{name}{' (generated images)' if generated else ''}"
    test = load_probabilities(Path(f"data/probabilities/{name}.npz"))
    rows = read_table(f"data/split/{name}.csv", numbers=("row",)).set_index("row").loc[test.rows]
    subsets = compared_subsets(is_clean(rows))
    metrics = read_table(f"metrics/{name}/metrics.csv", numbers=INTERVAL)
    with atomic_outputs(f"plots/{name}/charts") as (folder,):
        folder.mkdir()
        draw_predictions(folder, test, subsets, classes, title)
        draw_curves(folder, test, subsets, classes, metrics, title)
        robustness = read_table(f"metrics/{name}/robustness.csv", numbers=INTERVAL)
        accuracy = robustness[(robustness["metric"] == "accuracy") & (robustness["reference"] == "")]
        accuracy = accuracy[accuracy["subset"].isin(list(subsets))]
        charts.plot_robustness(folder / "robustness.svg", accuracy, f"{title}: perturbed test images")


def draw_predictions(
    folder: Path, test: TestProbabilities, subsets: dict[str, Masks], classes: tuple[str, ...], title: str
) -> None:
    """Draw the confusion matrix of each subset."""
    predicted = test.calibrated.argmax(1)
    counts = {name: count_confusion(test.truth[mask], predicted[mask], len(classes)) for name, mask in subsets.items()}
    charts.plot_confusion_matrices(folder / "confusion.png", counts, classes, title)


def draw_curves(
    folder: Path,
    test: TestProbabilities,
    subsets: dict[str, Masks],
    classes: tuple[str, ...],
    metrics: pd.DataFrame,
    title: str,
) -> None:
    """Draw all curves over thresholds."""
    before = compute_curves(test.truth, test.uncalibrated, subsets, classes)
    after = compute_curves(test.truth, test.calibrated, subsets, classes)
    areas = metrics[(metrics["model"] == MODEL) & (metrics["class"] != "")]
    auroc, auprc = (areas[areas["metric"] == metric] for metric in ("auroc", "auprc"))
    charts.plot_roc(folder / "roc.svg", after["roc"], auroc, f"{title}: ROC, one-vs-rest")
    charts.plot_precision_recall(folder / "pr.svg", after["pr"], auprc, f"{title}: precision–recall, one-vs-rest")
    confidence = {name: test.calibrated[mask].max(1) for name, mask in subsets.items()}
    bins = [merge_bins(curves["reliability"]) for curves in (before, after)]
    errors = calibration_errors(metrics, list(subsets))
    charts.plot_reliability(folder / "reliability.svg", bins[0], bins[1], confidence, errors, f"{title}: reliability")
    charts.plot_coverage(folder / "coverage.svg", after["coverage"], f"{title}: selective prediction (risk–coverage)")
    if len(classes) == 2:
        decision_title = f"{title}: decision curve, all test images"
        charts.plot_decision_curve(folder / "decision.svg", after["decision"], classes[0], decision_title)


def merge_bins(bins: pd.DataFrame, min_images: int = MIN_BIN_IMAGES) -> pd.DataFrame:
    """Merge neighboring bins of the confidence until each has `min_images`: subset, n, confidence, accuracy, low, high.

    The last bins, if they have fewer images, are merged with the bin before them.
    """
    lines = []
    for subset, table in bins.groupby("subset", sort=False):
        groups: list[list[int]] = [[]]
        counts = table["n"].to_numpy()
        for number in range(len(counts)):
            if counts[groups[-1]].sum() >= min_images and counts[number:].sum() >= min_images:
                groups.append([])
            groups[-1].append(number)
        for group in groups:
            part = table.iloc[group]
            n = int(part["n"].sum())
            means = [float(np.average(part[key], weights=part["n"])) for key in ("confidence", "accuracy")]
            lines.append((subset, n, *means, *wilson_interval(round(n * means[1]), n)))
    return pd.DataFrame(lines, columns=["subset", "n", "confidence", "accuracy", "low", "high"])


def calibration_errors(metrics: pd.DataFrame, subsets: list[str]) -> dict[tuple[str, str], str]:
    """Format the calibration error with its interval, by subset and `before` or `after` temperature scaling."""
    whole = metrics[(metrics["metric"] == "calibration_error") & metrics["value"].notna()]
    whole = whole[(whole[["reference", "reference_subset", "attribute", "class"]] == "").all(axis=1)]
    rows = whole.set_index(["subset", "model"])[["value", "low", "high"]]
    names = ((UNCALIBRATED, "before"), (MODEL, "after"))
    return {
        (subset, name): "{:.3f} ({:.3f}–{:.3f})".format(*rows.loc[[(subset, model)]].to_numpy()[0])
        for subset in subsets
        for model, name in names
        if (subset, model) in rows.index
    }


if __name__ == "__main__":
    run_stage(main, "recipe")
