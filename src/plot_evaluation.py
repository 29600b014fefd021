"""Draw the charts of a recipe's evaluation."""

from pathlib import Path

import numpy as np
import pandas as pd

from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs
from brain_tumor.core.params import read_params
from brain_tumor.core.subsets import MODEL
from brain_tumor.core.tables import is_clean, read_table
from brain_tumor.core.types import Masks
from brain_tumor.evaluation.curves import compute_curves
from brain_tumor.evaluation.probabilities import TestProbabilities, compared_subsets, load_probabilities
from brain_tumor.metrics.classification import count_confusion
from brain_tumor.plotting import evaluation as charts

INTERVAL = ("n", "value", "low", "high")


def main(name: str) -> None:
    """Write plots/<recipe>/charts: confusion matrices, curves, robustness, errors; a decision curve of two classes."""
    classes = read_params(PARAMS, f"recipes.{name}.classes", tuple[str, ...])
    dataset = read_params(PARAMS, f"recipes.{name}.dataset", str)
    generated = read_params(PARAMS, f"datasets.{dataset}.info.generated", bool)
    title = f"{name}{' (generated images)' if generated else ''}"
    test = load_probabilities(Path(f"data/probabilities/{name}.npz"))
    rows = read_table(f"data/split/{name}.csv", numbers=("row",)).set_index("row").loc[test.rows]
    subsets = compared_subsets(is_clean(rows))
    with atomic_outputs(f"plots/{name}/charts") as (folder,):
        folder.mkdir()
        draw_predictions(folder, test, subsets, classes, title)
        draw_curves(folder, test, subsets, classes, read_areas(name), title)
        robustness = read_table(f"metrics/{name}/robustness.csv", numbers=INTERVAL)
        accuracy = robustness[(robustness["metric"] == "accuracy") & (robustness["reference"] == "")]
        accuracy = accuracy[accuracy["subset"].isin(list(subsets))]
        charts.plot_robustness(folder / "robustness.png", accuracy, f"{title}: perturbed test images")
        errors = find_errors(test, rows["leak"].tolist(), classes)
        images = np.load(f"data/enhanced/{name}/images.npy", mmap_mode="r")
        pixels = [images[row] for row in errors["row"].head(charts.MAX_ERRORS)]
        charts.plot_errors(folder / "errors.png", errors, pixels, len(test.rows), title)


def read_areas(name: str) -> pd.DataFrame:
    """Read the areas under the curves of each class: metric, subset, class, value, low, high."""
    metrics = read_table(f"metrics/{name}/metrics.csv", numbers=INTERVAL)
    return metrics[(metrics["model"] == MODEL) & (metrics["class"] != "") & metrics["metric"].isin(("auroc", "auprc"))]


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
    areas: pd.DataFrame,
    title: str,
) -> None:
    """Draw all curves over thresholds."""
    before = compute_curves(test.truth, test.uncalibrated, subsets, classes)
    after = compute_curves(test.truth, test.calibrated, subsets, classes)
    auroc, auprc = (areas[areas["metric"] == metric] for metric in ("auroc", "auprc"))
    charts.plot_roc(folder / "roc.png", after["roc"], auroc, f"{title}: ROC, one-vs-rest")
    pr_title = f"{title}: precision–recall, one-vs-rest"
    charts.plot_precision_recall(folder / "pr.png", after["pr"], auprc, pr_title)
    confidence = {name: test.calibrated[mask].max(1) for name, mask in subsets.items()}
    reliability_title = f"{title}: reliability"
    tables = before["reliability"], after["reliability"]
    charts.plot_reliability(folder / "reliability.png", *tables, confidence, reliability_title)
    coverage_title = f"{title}: selective prediction (risk–coverage)"
    charts.plot_coverage(folder / "coverage.png", after["coverage"], coverage_title)
    if len(classes) == 2:
        decision_title = f"{title}: decision curve, all test images"
        charts.plot_decision_curve(folder / "decision.png", after["decision"], classes[0], decision_title)


def find_errors(test: TestProbabilities, leaks: list[str], classes: tuple[str, ...]) -> pd.DataFrame:
    """List wrong predictions, the most confident first: row, label, predicted, confidence, leak."""
    predicted, confidence = test.calibrated.argmax(1), test.calibrated.max(1)
    wrong = np.flatnonzero(predicted != test.truth)
    order = wrong[np.argsort(-confidence[wrong], kind="stable")]
    lines = [(test.rows[k], classes[test.truth[k]], classes[predicted[k]], confidence[k], leaks[k]) for k in order]
    return pd.DataFrame(lines, columns=["row", "label", "predicted", "confidence", "leak"])


if __name__ == "__main__":
    run_stage(main, "recipe")
