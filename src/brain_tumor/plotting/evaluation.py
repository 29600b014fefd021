"""Charts of an evaluation as PNG files that are the same bytes on every run."""

from collections.abc import Collection, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brain_tumor.core.subsets import CLEAN, PUBLISHED
from brain_tumor.core.types import Floats, Gray, Ints
from brain_tumor.plotting.contact_sheets import plot_cases
from brain_tumor.plotting.style import TEN_COLORS, save_figure

COLORS = {PUBLISHED: "#b2182b", CLEAN: "#2166ac"}
NAMES = {PUBLISHED: "all test images", CLEAN: "clean test images", "pooled": "all folds"}
MAX_ERRORS = 24  # images on the sheet of errors


def plot_confusion_matrices(
    path: Path | BytesIO, counts: Mapping[str, Ints], classes: Sequence[str], title: str
) -> None:
    """Draw confusion matrices, each cell with its count and colored by its fraction of the true class.

    Args:
        path: the PNG file.
        counts: (K, K) numbers of images by subset; the rows are the true classes.
        classes: names of the K classes.
        title: figure title.
    """
    size = len(classes)
    figure = Figure(figsize=(1.4 + len(counts) * (1.5 + 0.95 * size), 1.9 + 0.85 * size), layout="constrained")
    panels = figure.subplots(1, len(counts), squeeze=False)[0]
    for axes, (subset, table) in zip(panels, counts.items(), strict=True):
        fraction = table / np.maximum(table.sum(1, keepdims=True), 1)
        image = axes.imshow(fraction, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(table):
            color = "white" if fraction[row, column] > 0.55 else "black"
            axes.text(column, row, f"{count}\n{fraction[row, column]:.1%}", ha="center", va="center", color=color)
        axes.set_xticks(range(size), classes, rotation=30, ha="right")
        axes.set_yticks(range(size), classes)
        axes.set(xlabel="predicted", ylabel="true", title=f"{NAMES[subset]} (n = {table.sum():,})")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
    figure.colorbar(image, ax=list(panels), label="fraction of the true class", shrink=0.8)
    figure.suptitle(title, parse_math=False)
    save_figure(figure, path)


def plot_roc(path: Path, curves: pd.DataFrame, areas: pd.DataFrame, title: str) -> None:
    """Draw ROC curves of each class against the rest, in one panel per subset.

    Args:
        path: the PNG file.
        curves: subset, class ('' for the mean, which is not drawn), false_positive_rate, true_positive_rate.
        areas: subset, class, value, low, high of the areas under the curves.
        title: figure title.
    """
    figure, panels = _panels(curves, title)
    for subset, axes in panels.items():
        _plot_classes(axes, curves[curves["subset"] == subset], areas[areas["subset"] == subset])
        axes.plot([0, 1], [0, 1], color="0.7", lw=1, ls="--")
        axes.set(xlabel="false positive rate", ylabel="true positive rate")
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), aspect="equal")
        axes.legend(frameon=False, fontsize=8, loc="lower right", title="area (95 %)")
    save_figure(figure, path)


def plot_precision_recall(path: Path, curves: pd.DataFrame, areas: pd.DataFrame, title: str) -> None:
    """Draw precision-recall curves of each class against the rest, in one panel per subset.

    Args:
        path: the PNG file.
        curves: subset, class ('' for the mean, which is not drawn), recall, precision.
        areas: subset, class, value, low, high of the areas under the curves.
        title: figure title.
    """
    figure, panels = _panels(curves, title)
    for subset, axes in panels.items():
        _plot_classes(axes, curves[curves["subset"] == subset], areas[areas["subset"] == subset])
        axes.set(xlabel="recall", ylabel="precision")
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), aspect="equal")
        axes.legend(frameon=False, fontsize=8, loc="lower left", title="area (95 %)")
    save_figure(figure, path)


def plot_reliability(
    path: Path, before: pd.DataFrame, after: pd.DataFrame, confidence: Mapping[str, Floats], title: str
) -> None:
    """Draw accuracy by confidence, before and after temperature scaling, over the histogram of the confidence.

    Args:
        path: the PNG file.
        before, after: subset, n, confidence, accuracy, low, high of bins.
        confidence: (N,) confidence after temperature scaling, by subset.
        title: figure title.
    """
    subsets = list(dict.fromkeys(after["subset"]))
    figure = Figure(figsize=(5.2 * len(subsets), 5.6), layout="constrained")
    grid = figure.subplots(2, len(subsets), squeeze=False, height_ratios=(3, 1), sharex=True)
    lowest = min(before["confidence"].min(), after["confidence"].min())
    for column, subset in enumerate(subsets):
        upper, lower = grid[:, column]
        upper.plot([0, 1], [0, 1], color="0.7", lw=1, ls="--")
        for name, bins, color, shift in (("before", before, "0.55", -0.004), ("after", after, COLORS[subset], 0.004)):
            table = bins[bins["subset"] == subset]
            gap = np.average((table["accuracy"] - table["confidence"]).abs(), weights=table["n"])
            error = [(table["accuracy"] - table[end]).abs() for end in ("low", "high")]
            style = {"fmt": "o-", "ms": 4, "lw": 1.2, "elinewidth": 0.8, "color": color}
            upper.errorbar(table["confidence"] + shift, table["accuracy"], error, **style, label=f"{name}: {gap:.3f}")
        upper.set(ylabel="accuracy", ylim=(-0.02, 1.03), title=NAMES[subset])
        upper.legend(frameon=False, loc="lower right", title="calibration error")
        lower.hist(confidence[subset], np.linspace(0, 1, 41), color=COLORS[subset], alpha=0.6)
        lower.set(xlabel="confidence", ylabel="images", xlim=(max(0.0, lowest - 0.05), 1.02), ylim=(0, None))
    figure.suptitle(title, parse_math=False)
    save_figure(figure, path)


def plot_coverage(path: Path, curves: pd.DataFrame, title: str) -> None:
    """Draw the accuracy on the most confident images against their fraction, with intervals.

    Args:
        path: the PNG file.
        curves: subset, coverage, n, accuracy, low, high.
        title: figure title.
    """
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    for subset, table in curves.groupby("subset", sort=False):
        color, name = COLORS[str(subset)], f"{NAMES[str(subset)]} (n = {table['n'].max():,})"
        axes.plot(table["coverage"], table["accuracy"], color=color, lw=1.8, label=name)
        axes.fill_between(table["coverage"], table["low"], table["high"], color=color, alpha=0.15, lw=0)
    axes.set(xlabel="coverage: fraction of the images, the most confident first", ylabel="accuracy on these")
    axes.set(title=title, xlim=(0, 1.005), ylim=(None, 1.005))
    axes.legend(frameon=False, loc="lower left")
    axes.grid(alpha=0.25)
    save_figure(figure, path)


def plot_decision_curve(path: Path, curve: pd.DataFrame, positive: str, title: str) -> None:
    """Draw the net benefit over thresholds.

    Args:
        path: the PNG file.
        curve: threshold, model, treat_all, treat_none.
        positive: name of the class that is treated.
        title: figure title.
    """
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    for name, color in (("model", "#2166ac"), ("treat_all", "0.5"), ("treat_none", "black")):
        axes.plot(curve["threshold"], curve[name], color=color, lw=1.8, label=name.replace("_", " "))
    top = float(curve[["model", "treat_all"]].max().max())
    axes.set(xlabel=f"threshold on the probability of {positive}", ylabel="net benefit", title=title)
    axes.set(ylim=(-0.15 * top, 1.08 * top), xlim=(0, 1))
    axes.legend(frameon=False)
    axes.grid(alpha=0.25)
    save_figure(figure, path)


def plot_robustness(path: Path, accuracy: pd.DataFrame, title: str) -> None:
    """Draw the accuracy under each perturbation, with intervals.

    Args:
        path: the PNG file.
        accuracy: perturbation (the original images first), subset, n, value, low, high.
        title: figure title.
    """
    names = list(dict.fromkeys(accuracy["perturbation"]))
    figure = Figure(figsize=(8.5, 1.3 + 0.36 * len(names)), layout="constrained")
    axes = figure.subplots()
    for shift, subset in ((-0.15, PUBLISHED), (0.15, CLEAN)):
        table = accuracy[accuracy["subset"] == subset].set_index("perturbation")
        if table.empty:
            continue
        table = table.loc[names]
        positions, color = np.arange(len(names)) + shift, COLORS[subset]
        axes.hlines(positions, table["low"], table["high"], color=color, lw=3, alpha=0.4)
        label = f"{NAMES[subset]} (n = {table['n'].iloc[0]:,})"
        axes.plot(table["value"], positions, "o", color=color, ms=5, label=label)
        axes.axvline(table["value"].iloc[0], color=color, lw=0.8, ls=":")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="accuracy, 95 % interval", title=title, ylim=(len(names) - 0.5, -0.5), xlim=(None, 1.01))
    axes.grid(axis="x", alpha=0.25)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    save_figure(figure, path)


def plot_errors(path: Path, errors: pd.DataFrame, images: Sequence[Gray], total: int, title: str) -> None:
    """Show the most confident errors.

    Args:
        path: the PNG file.
        errors: row, label, predicted, confidence, leak of all errors, the most confident first.
        images: (S, S) of the first `MAX_ERRORS` of them.
        total: number of test images.
        title: figure title.
    """
    columns = ["row", "label", "predicted", "confidence", "leak"]
    captions = [
        f"{predicted} {confidence:.0%}, true: {label}\nrow {row}, {leak or CLEAN}"
        for row, label, predicted, confidence, leak in errors.head(MAX_ERRORS)[columns].itertuples(index=False)
    ]
    count = f"the {len(captions)} most confident of {len(errors)} errors" if captions else "no errors"
    plot_cases(path, images, captions, f"{title}: {count} on {total:,} test images")


def plot_metric_matrix(
    path: Path,
    table: pd.DataFrame,
    recipes: Sequence[str],
    datasets: Sequence[str],
    generated: Collection[tuple[str, str]],
    title: str,
) -> None:
    """Draw a metric, 0 to 1, of each recipe's model (rows) on each data set (columns), with its interval and n.

    Args:
        path: the PNG file.
        table: recipe, dataset, n, value, low, high.
        recipes, datasets: names in the order of rows and columns.
        generated: pairs that are marked: the model or the data set has generated images.
        title: figure title.
    """
    figure = Figure(figsize=(3 + 1.9 * len(datasets), 1.8 + 1.0 * len(recipes)), layout="constrained")
    axes = figure.subplots()
    values = np.full((len(recipes), len(datasets)), np.nan)
    for recipe, dataset, n, value, low, high in table[["recipe", "dataset", "n", "value", "low", "high"]].itertuples(
        index=False
    ):
        row, column = recipes.index(recipe), datasets.index(dataset)
        values[row, column] = value
        color = "white" if value > 0.6 else "black"
        mark = "\n(generated images)" if (recipe, dataset) in generated else ""
        label = f"{value:.3f}\n{low:.3f}–{high:.3f}\nn = {n:,}{mark}"
        axes.text(column, row, label, ha="center", va="center", color=color, fontsize=9)
    image = axes.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.argwhere(np.isnan(values)):
        label = "not evaluated: training data,\nor no classes in common"
        axes.text(column, row, label, ha="center", va="center", color="0.5", fontsize=8)
    axes.set_xticks(range(len(datasets)), datasets)
    axes.set_yticks(range(len(recipes)), recipes)
    axes.set(xlabel="evaluated on", ylabel="model of", title=f"{title}, 95 % interval")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, shrink=0.8)
    save_figure(figure, path)


def _panels(curves: pd.DataFrame, title: str) -> tuple[Figure, dict[str, Axes]]:
    """Return a figure with one panel per subset."""
    subsets = list(dict.fromkeys(curves["subset"]))
    figure = Figure(figsize=(5 * len(subsets), 5.7), layout="constrained")
    panels = dict(zip(subsets, figure.subplots(1, len(subsets), squeeze=False)[0], strict=True))
    for subset, axes in panels.items():
        axes.set_title(NAMES[subset])
        axes.grid(alpha=0.25)
    figure.suptitle(title, parse_math=False)
    return figure, panels


def _plot_classes(axes: Axes, curves: pd.DataFrame, areas: pd.DataFrame) -> None:
    """Draw the curve of each class that has one; the legend shows the areas."""
    area_of_class = areas.set_index("class")
    x, y = curves.columns[-2:]
    labels = [label for label in dict.fromkeys(curves["class"]) if label]
    for number, label in enumerate(labels):
        curve = curves[curves["class"] == label]
        if curve[y].notna().any():
            area = area_of_class.loc[label]
            interval = f" ({area['low']:.3f}–{area['high']:.3f})" if area["low"] < area["high"] else ""
            name = f"{label}: {area['value']:.3f}{interval}"
            axes.plot(curve[x], curve[y], color=TEN_COLORS[number % 10], lw=1.8, label=name)
