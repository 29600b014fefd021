"""Everything that is drawn of an evaluation, and the tables behind it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor import charts, curves
from brain_tumor.evaluation import CLEAN, MODEL, PUBLISHED, Predicted
from brain_tumor.sheets import case_sheet

MOST_ERRORS = 24


def draw(
    folder: Path,
    test: Predicted,
    images: NDArray[np.uint8],
    figures: pd.DataFrame,
    robustness: pd.DataFrame,
    classes: Sequence[str],
    name: str,
    generated: bool,
) -> dict[str, pd.DataFrame]:
    """Draw all charts into a folder; return the tables of curves by name.

    Args:
        images: (N, H, W) uint8 of the test rows.
        figures, robustness: of `evaluation.evaluate` and `evaluation.under_alterations`.
    """
    title = f"{name}{' (generated images)' if generated else ''}"
    halves = {PUBLISHED: np.ones(len(test.truth), bool), CLEAN: test.clean}
    if test.clean.all() or not test.clean.any():  # nothing to set against the whole
        del halves[CLEAN]
    truth = {subset: test.truth[chosen] for subset, chosen in halves.items()}
    after = {subset: test.calibrated[chosen] for subset, chosen in halves.items()}

    counts = {}
    for subset, numbers in truth.items():
        counts[subset] = np.zeros((len(classes),) * 2, np.int64)
        np.add.at(counts[subset], (numbers, after[subset].argmax(1)), 1)
    charts.confusion_matrices(folder / "confusion.png", counts, classes, title)

    of_class = figures[(figures["model"] == MODEL) & (figures["class"] != "")]
    tables = {}
    for kind, make, area, words in (
        ("roc", curves.roc, "auroc", "ROC, each class against the rest"),
        ("pr", curves.precision_recall, "auprc", "precision and recall, each class against the rest"),
    ):
        drawn = {subset: make(truth[subset], after[subset], classes) for subset in halves}
        areas = of_class[of_class["figure"] == area]
        charts.curves_by_class(folder / f"{kind}.png", drawn, areas, kind, f"{title}: {words}")
        tables[kind] = _stacked(drawn)
    reliability = {
        (subset, when): curves.reliability(truth[subset], values[chosen])
        for subset, chosen in halves.items()
        for when, values in (("before", test.raw), ("after", test.calibrated))
    }
    certainty = {subset: probabilities.max(1) for subset, probabilities in after.items()}
    words = f"{title}: before and after temperature scaling"
    charts.reliability_diagrams(folder / "reliability.png", reliability, certainty, words)
    tables["reliability"] = _stacked({subset: reliability[subset, "after"] for subset in halves})
    coverage = {subset: curves.coverage(truth[subset], after[subset]) for subset in halves}
    charts.coverage_chart(folder / "coverage.png", coverage, f"{title}: the least certain left to a human")
    tables["coverage"] = _stacked(coverage)
    # Of all test images; what benefit means for more than two classes is not defined.
    decision = curves.decisions(test.truth == 0, test.calibrated[:, 0])
    tables["decision"] = decision if len(classes) == 2 else decision.head(0)
    if len(classes) == 2:
        charts.decision_chart(
            folder / "decision.png", decision, classes[0], f"{title}: decision curve, all test images"
        )
    shown = robustness[robustness["subset"].isin(list(halves))]
    charts.robustness_chart(folder / "robustness.png", shown, f"{title}: altered test images")
    _draw_errors(folder / "errors.png", test, images, classes, title)
    return tables


def _draw_errors(path: Path, test: Predicted, images: NDArray[np.uint8], classes: Sequence[str], title: str) -> None:
    predicted, certainty = test.calibrated.argmax(1), test.calibrated.max(1)
    wrong = np.flatnonzero(predicted != test.truth)
    shown = wrong[np.argsort(-certainty[wrong], kind="stable")][:MOST_ERRORS]
    captions = []
    for k in shown:
        leak = test.rows["leak"].iloc[k] or "clean"
        words = f"{classes[predicted[k]]} {certainty[k]:.0%}, true: {classes[test.truth[k]]}"
        captions.append(f"{words}\nrow {test.rows['row'].iloc[k]}, {leak}")
    count = f"the {len(shown)} most certain of {len(wrong)} mistakes" if len(wrong) else "no mistakes"
    case_sheet(path, [images[k] for k in shown], captions, f"{title}: {count} on {len(test.truth):,} test images")


def _stacked(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One table with the subset in its first column."""
    return pd.concat([table.assign(subset=subset) for subset, table in tables.items()], ignore_index=True)[
        ["subset", *next(iter(tables.values())).columns]
    ]
