"""Charts of an evaluation as files that are the same bytes on every run."""

from collections.abc import Collection, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brain_tumor.core.subsets import CLEAN, PUBLISHED
from brain_tumor.core.types import Floats, Ints
from brain_tumor.plotting.style import CHART_INCHES, LINE_STYLES, TEN_COLORS, save_chart, save_figure

COLORS = {PUBLISHED: "#cc4438", CLEAN: "#3079b9"}  # legible on white and on black
NAMES = {PUBLISHED: "all test images", CLEAN: "clean test images", "pooled": "all folds"}


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
        path: the SVG file.
        curves: subset, class ('' for the mean, which is not drawn), false_positive_rate, true_positive_rate.
        areas: subset, class, value, low, high of the areas under the curves.
        title: figure title.
    """
    figure, panels = _panels(curves)
    for subset, axes in panels.items():
        _plot_classes(axes, curves[curves["subset"] == subset], areas[areas["subset"] == subset])
        axes.plot([0, 1], [0, 1], color="0.6", lw=1, ls=(0, (1, 3)))
        axes.set(xlabel="false positive rate", ylabel="true positive rate")
        axes.legend(frameon=False, fontsize=8, loc="lower right", title="area (95 %)", title_fontsize=8)
    save_chart(figure, path, title, _describe_areas(areas, "AUROC"))


def plot_precision_recall(path: Path, curves: pd.DataFrame, areas: pd.DataFrame, title: str) -> None:
    """Draw precision-recall curves of each class against the rest, in one panel per subset.

    Args:
        path: the SVG file.
        curves: subset, class ('' for the mean, which is not drawn), recall, precision.
        areas: subset, class, value, low, high of the areas under the curves.
        title: figure title.
    """
    figure, panels = _panels(curves)
    for subset, axes in panels.items():
        _plot_classes(axes, curves[curves["subset"] == subset], areas[areas["subset"] == subset])
        axes.set(xlabel="recall", ylabel="precision")
        axes.legend(frameon=False, fontsize=8, loc="lower left", title="area (95 %)", title_fontsize=8)
    save_chart(figure, path, title, _describe_areas(areas, "AUPRC"))


def plot_reliability(
    path: Path,
    before: pd.DataFrame,
    after: pd.DataFrame,
    confidence: Mapping[str, Floats],
    errors: Mapping[tuple[str, str], str],
    title: str,
) -> None:
    """Draw accuracy by confidence, before and after temperature scaling, over the histogram of the confidence.

    Args:
        path: the SVG file.
        before, after: subset, n, confidence, accuracy, low, high of bins.
        confidence: (N,) confidence after temperature scaling, by subset.
        errors: the calibration error as text, by subset and `before` or `after`.
        title: figure title.
    """
    subsets = list(dict.fromkeys(after["subset"]))
    figure = Figure(figsize=(CHART_INCHES, 0.4 + 4.6 * len(subsets)), layout="constrained")
    grid = figure.subplots(2 * len(subsets), 1, squeeze=False, height_ratios=(3, 1) * len(subsets), sharex=True)[:, 0]
    lowest = min(before["confidence"].min(), after["confidence"].min())
    bottom = min(before["low"].min(), after["low"].min(), lowest)
    for number, subset in enumerate(subsets):
        upper, lower = grid[2 * number : 2 * number + 2]
        upper.plot([0, 1], [0, 1], color="0.6", lw=1, ls=(0, (1, 3)))
        styles = (("before", before, "0.5", "s--", -0.004), ("after", after, COLORS[subset], "o-", 0.004))
        for name, bins, color, line, shift in styles:
            table = bins[bins["subset"] == subset]
            interval = [(table["accuracy"] - table[end]).abs() for end in ("low", "high")]
            style = {"fmt": line, "ms": 4, "lw": 1.2, "elinewidth": 0.8, "color": color}
            label = f"{name}: {errors.get((subset, name), 'not measured')}"
            upper.errorbar(table["confidence"] + shift, table["accuracy"], interval, **style, label=label)
        upper.set(ylabel="accuracy", ylim=(max(0.0, bottom - 0.1), 1.03))
        upper.set_title(NAMES[subset], fontsize=10)
        upper.legend(frameon=False, fontsize=8, title="calibration error (95 %)", title_fontsize=8, loc="lower right")
        lower.hist(confidence[subset], np.linspace(0, 1, 41), color=COLORS[subset], alpha=0.6)
        lower.set(ylabel="images", xlim=(max(0.0, lowest - 0.05), 1.02), ylim=(0, None))
    grid[-1].set_xlabel("confidence")
    points = "; ".join(
        f"{NAMES[str(row.subset)]}, confidence {row.confidence:.2f}: accuracy {row.accuracy:.2f} (n = {row.n})"
        for row in after.itertuples()
    )
    texts = "; ".join(f"{NAMES[subset]}, {name} temperature scaling: {text}" for (subset, name), text in errors.items())
    save_chart(figure, path, title, f"Calibration error. {texts}. Bins after temperature scaling. {points}.")


def plot_coverage(path: Path, curves: pd.DataFrame, title: str) -> None:
    """Draw the accuracy on the most confident images against their fraction, with intervals.

    Args:
        path: the SVG file.
        curves: subset, coverage, n, accuracy, low, high.
        title: figure title.
    """
    figure = Figure(figsize=(CHART_INCHES, 3.9), layout="constrained")
    axes = figure.subplots()
    texts = []
    for number, (subset, table) in enumerate(curves.groupby("subset", sort=False)):
        color, name = COLORS[str(subset)], f"{NAMES[str(subset)]} (n = {table['n'].max():,})"
        axes.plot(table["coverage"], table["accuracy"], LINE_STYLES[number], color=color, lw=1.8, label=name)
        axes.fill_between(table["coverage"], table["low"], table["high"], color=color, alpha=0.15, lw=0)
        points = table.iloc[[np.abs(table["coverage"] - part).argmin() for part in (0.25, 0.5, 0.75, 1)]]
        values = ", ".join(f"{row.accuracy:.3f} on {row.coverage:.0%}" for row in points.itertuples())
        texts.append(f"{name}: accuracy {values}")
    axes.set(xlabel="coverage: fraction of the images, the most confident first", ylabel="accuracy on these")
    axes.set(xlim=(0, 1.005), ylim=(None, 1.005))
    axes.legend(frameon=False, fontsize=8, loc="lower left")
    axes.grid(alpha=0.25)
    save_chart(figure, path, title, f"{'; '.join(texts)}.")


def plot_decision_curve(path: Path, curve: pd.DataFrame, positive: str, title: str) -> None:
    """Draw the net benefit over thresholds.

    Args:
        path: the SVG file.
        curve: threshold, model, treat_all, treat_none.
        positive: name of the class that is treated.
        title: figure title.
    """
    figure = Figure(figsize=(CHART_INCHES, 3.9), layout="constrained")
    axes = figure.subplots()
    styles = {"model": ("-", COLORS[CLEAN]), "treat_all": ("--", "0.5"), "treat_none": (":", "black")}
    for name, (line, color) in styles.items():
        axes.plot(curve["threshold"], curve[name], line, color=color, lw=1.8, label=name.replace("_", " "))
    top = float(curve[["model", "treat_all"]].max().max())
    axes.set(xlabel=f"threshold on the probability of {positive}", ylabel="net benefit")
    axes.set(ylim=(-0.15 * top, 1.08 * top), xlim=(0, 1))
    axes.legend(frameon=False, fontsize=8)
    axes.grid(alpha=0.25)
    points = curve.iloc[[np.abs(curve["threshold"] - part).argmin() for part in (0.25, 0.5, 0.75)]]
    values = "; ".join(
        f"threshold {row.threshold:.2f}: model {row.model:.3f}, treat all {row.treat_all:.3f}"
        for row in points.itertuples()
    )
    save_chart(figure, path, title, f"Net benefit. {values}; treat none 0.")


def plot_robustness(path: Path, accuracy: pd.DataFrame, title: str) -> None:
    """Draw the accuracy under each perturbation, with intervals.

    Args:
        path: the SVG file.
        accuracy: perturbation (the original images first), subset, n, value, low, high.
        title: figure title.
    """
    names = list(dict.fromkeys(accuracy["perturbation"]))
    figure = Figure(figsize=(CHART_INCHES, 1.4 + 0.36 * len(names)), layout="constrained")
    axes = figure.subplots()
    texts = []
    for shift, subset, marker in ((-0.15, PUBLISHED, "o"), (0.15, CLEAN, "s")):
        table = accuracy[accuracy["subset"] == subset].set_index("perturbation")
        if table.empty:
            continue
        table = table.loc[names]
        positions, color = np.arange(len(names)) + shift, COLORS[subset]
        axes.hlines(positions, table["low"], table["high"], color=color, lw=3, alpha=0.4)
        label = f"{NAMES[subset]} (n = {table['n'].iloc[0]:,})"
        axes.plot(table["value"], positions, marker, color=color, ms=5, label=label)
        axes.axvline(table["value"].iloc[0], color=color, lw=0.8, ls=":")
        values = zip(names, table["value"], table["low"], table["high"], strict=True)
        texts.append(f"{label}: {', '.join(f'{n} {v:.3f} ({low:.3f}–{high:.3f})' for n, v, low, high in values)}")
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.set(xlabel="accuracy, 95 % interval", ylim=(len(names) - 0.5, -0.5), xlim=(None, 1.01))
    axes.grid(axis="x", alpha=0.25)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    save_chart(figure, path, title, f"Accuracy. {'; '.join(texts)}.")


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


def _panels(curves: pd.DataFrame) -> tuple[Figure, dict[str, Axes]]:
    """Return a figure with one panel per subset, each a unit square."""
    subsets = list(dict.fromkeys(curves["subset"]))
    figure = Figure(figsize=(CHART_INCHES, 0.4 + 5.2 * len(subsets)), layout="constrained")
    panels = dict(zip(subsets, figure.subplots(len(subsets), 1, squeeze=False)[:, 0], strict=True))
    for subset, axes in panels.items():
        axes.set_title(NAMES[subset], fontsize=10)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), aspect="equal")
        axes.grid(alpha=0.25)
    return figure, panels


def _plot_classes(axes: Axes, curves: pd.DataFrame, areas: pd.DataFrame) -> None:
    """Draw the curve of each class that has one; the legend shows the areas."""
    area_of_class = areas.set_index("class")
    x, y = curves.columns[-2:]
    labels = [label for label in dict.fromkeys(curves["class"]) if label]
    for number, label in enumerate(labels):
        curve = curves[curves["class"] == label]
        if curve[y].notna().any():
            style = LINE_STYLES[number % len(LINE_STYLES)]
            name = f"{label}: {_format_area(area_of_class.loc[label])}"
            axes.plot(curve[x], curve[y], ls=style, color=TEN_COLORS[number % 10], lw=1.8, label=name)


def _format_area(area: pd.Series) -> str:
    """Format an area under a curve with its interval, where it has one."""
    interval = f" ({area['low']:.3f}–{area['high']:.3f})" if area["low"] < area["high"] else ""
    return f"{area['value']:.3f}{interval}"


def _describe_areas(areas: pd.DataFrame, metric: str) -> str:
    """Name the areas of all classes, subset by subset."""
    texts = []
    for subset, table in areas[areas["subset"].isin(list(NAMES))].groupby("subset", sort=False):
        values = ", ".join(f"{area['class']} {_format_area(area)}" for _, area in table.iterrows())
        texts.append(f"{NAMES[str(subset)]}: {values}")
    return f"{metric} of each class against the rest. {'; '.join(texts)}."
