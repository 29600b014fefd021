"""Charts of an evaluation as PNG files that are the same bytes on every run."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from brain_tumor.curves import CLASS
from brain_tumor.plots import TEN_COLORS, save

COLORS = {"published": "#b2182b", "clean": "#2166ac"}
NAMES = {"published": "all test images", "clean": "clean test images", "pooled": "all folds"}


def confusion_matrices(path: Path, counts: Mapping[str, NDArray[np.int64]], classes: Sequence[str], title: str) -> None:
    """Draw (K, K) counts, truth by rows, of each subset: the count in each cell, colored by its share of the row."""
    size = len(classes)
    figure = Figure(figsize=(1.4 + len(counts) * (1.5 + 0.95 * size), 1.9 + 0.85 * size), layout="constrained")
    panels = figure.subplots(1, len(counts), squeeze=False)[0]
    for axes, (subset, table) in zip(panels, counts.items(), strict=True):
        share = table / np.maximum(table.sum(1, keepdims=True), 1)
        image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(table):
            color = "white" if share[row, column] > 0.55 else "black"
            axes.text(column, row, f"{count}\n{share[row, column]:.1%}", ha="center", va="center", color=color)
        axes.set_xticks(range(size), classes, rotation=30, ha="right")
        axes.set_yticks(range(size), classes)
        axes.set(xlabel="predicted", ylabel="true", title=f"{NAMES[subset]} (n = {table.sum():,})")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
    figure.colorbar(image, ax=list(panels), label="share of the true class", shrink=0.8)
    figure.suptitle(title, parse_math=False)
    save(figure, path)


def curves_by_class(path: Path, tables: Mapping[str, pd.DataFrame], areas: pd.DataFrame, kind: str, title: str) -> None:
    """Draw ROC or precision-recall curves of each class against the rest, all test images beside the clean ones.

    Args:
        tables: by subset, of `curves.roc` or `curves.precision_recall`.
        areas: rows of the table of figures with the areas under the curves.
        kind: `roc` or `pr`.
    """
    figure, panels = _panels(tables, title)
    for axes, (subset, table) in zip(panels, tables.items(), strict=True):
        x = table.columns[0]
        of_class = areas[areas["subset"] == subset].set_index("class")
        for number, column in enumerate(table.columns[2:]):
            if table[column].notna().any():
                label = column.removeprefix(CLASS)
                area = of_class.loc[label]
                words = f"{label}: {area['value']:.3f} ({area['low']:.3f}–{area['high']:.3f})"
                axes.plot(table[x], table[column], color=TEN_COLORS[number % 10], lw=1.8, label=words)
        if kind == "roc":
            axes.plot([0, 1], [0, 1], color="0.7", lw=1, ls="--")
        axes.set(xlabel=x.replace("_", " "), ylabel="true positive rate" if kind == "roc" else "precision")
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), aspect="equal")
        axes.legend(
            frameon=False, fontsize=8, loc="lower right" if kind == "roc" else "lower left", title="area (95 %)"
        )
    save(figure, path)


def reliability_diagrams(
    path: Path,
    tables: Mapping[tuple[str, str], pd.DataFrame],
    confidence: Mapping[str, NDArray[np.float64]],
    title: str,
) -> None:
    """Draw accuracy by confidence, before and after temperature scaling, over the histogram of the confidence.

    Args:
        tables: of `curves.reliability`, by subset and by `before` or `after`.
        confidence: (N,) of each subset, after scaling.
    """
    subsets = list(dict.fromkeys(subset for subset, _ in tables))
    figure = Figure(figsize=(5.2 * len(subsets), 5.6), layout="constrained")
    grid = figure.subplots(2, len(subsets), squeeze=False, height_ratios=(3, 1), sharex=True)
    for column, subset in enumerate(subsets):
        upper, lower = grid[:, column]
        upper.plot([0, 1], [0, 1], color="0.7", lw=1, ls="--")
        for when, color, shift in (("before", "0.55", -0.004), ("after", COLORS[subset], 0.004)):
            table = tables[subset, when]
            gap = np.average((table["accuracy"] - table["confidence"]).abs(), weights=table["n"])
            error = [(table["accuracy"] - table[end]).abs() for end in ("low", "high")]
            style = {"fmt": "o-", "ms": 4, "lw": 1.2, "elinewidth": 0.8, "color": color}
            upper.errorbar(table["confidence"] + shift, table["accuracy"], error, **style, label=f"{when}: {gap:.3f}")
        upper.set(ylabel="accuracy", ylim=(-0.02, 1.03), title=NAMES[subset])
        upper.legend(frameon=False, loc="lower right", title="calibration error")
        lowest = min(table["confidence"].min() for table in tables.values())
        lower.hist(confidence[subset], np.linspace(0, 1, 41), color=COLORS[subset], alpha=0.6)
        lower.set(xlabel="confidence", ylabel="images", xlim=(max(0.0, lowest - 0.05), 1.02), ylim=(0, None))
    figure.suptitle(title, parse_math=False)
    save(figure, path)


def coverage_chart(path: Path, tables: Mapping[str, pd.DataFrame], title: str) -> None:
    """Draw the accuracy on the most certain images against their share, with Wilson intervals."""
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    for subset, table in tables.items():
        words = f"{NAMES[subset]} (n = {table['n'].max():,})"
        axes.plot(table["coverage"], table["accuracy"], color=COLORS[subset], lw=1.8, label=words)
        axes.fill_between(table["coverage"], table["low"], table["high"], color=COLORS[subset], alpha=0.15, lw=0)
    axes.set(xlabel="share of images that the model decides, the most certain first", ylabel="accuracy on these")
    axes.set(title=title, xlim=(0, 1.005), ylim=(None, 1.005))
    axes.legend(frameon=False, loc="lower left")
    axes.grid(alpha=0.25)
    save(figure, path)


def decision_chart(path: Path, table: pd.DataFrame, positive: str, title: str) -> None:
    """Draw the net benefit over thresholds, from `curves.decisions`."""
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    for name, color in (("model", "#2166ac"), ("treat_all", "0.5"), ("treat_none", "black")):
        axes.plot(table["threshold"], table[name], color=color, lw=1.8, label=name.replace("_", " "))
    top = float(table[["model", "treat_all"]].max().max())
    axes.set(xlabel=f"threshold on the probability of {positive}", ylabel="net benefit", title=title)
    axes.set(ylim=(-0.15 * top, 1.08 * top), xlim=(0, 1))
    axes.legend(frameon=False)
    axes.grid(alpha=0.25)
    save(figure, path)


def robustness_chart(path: Path, table: pd.DataFrame, title: str) -> None:
    """Draw the accuracy under each alteration, with intervals, from `evaluation.under_alterations`."""
    table = table[(table["figure"] == "accuracy") & ~table["alteration"].str.contains("−")]
    names = list(dict.fromkeys(table["alteration"]))
    figure = Figure(figsize=(8.5, 1.3 + 0.36 * len(names)), layout="constrained")
    axes = figure.subplots()
    for shift, subset in ((-0.15, "published"), (0.15, "clean")):
        part = table[table["subset"] == subset].set_index("alteration")
        if part.empty:
            continue
        part = part.loc[names]
        places = np.arange(len(names)) + shift
        axes.hlines(places, part["low"], part["high"], color=COLORS[subset], lw=3, alpha=0.4)
        axes.plot(
            part["value"], places, "o", color=COLORS[subset], ms=5, label=f"{NAMES[subset]} (n = {part['n'].iloc[0]:,})"
        )
        axes.axvline(part["value"].iloc[0], color=COLORS[subset], lw=0.8, ls=":")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="accuracy, 95 % interval", title=title, ylim=(len(names) - 0.5, -0.5), xlim=(None, 1.01))
    axes.grid(axis="x", alpha=0.25)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    save(figure, path)


def figure_matrix(
    path: Path,
    table: pd.DataFrame,
    models: Sequence[str],
    sets: Sequence[str],
    generated: Collection[tuple[str, str]],
    title: str,
) -> None:
    """Draw a figure, 0 to 1, of each model (rows) on each data set (columns), with its interval and n.

    Pairs in `generated` are marked: the model or the data set has generated images.
    """
    figure = Figure(figsize=(3 + 1.9 * len(sets), 1.8 + 1.0 * len(models)), layout="constrained")
    axes = figure.subplots()
    values = np.full((len(models), len(sets)), np.nan)
    for model, dataset, n, value, low, high in table[["model", "subset", "n", "value", "low", "high"]].itertuples(
        False
    ):
        row, column = models.index(model), sets.index(dataset)
        values[row, column] = value
        color = "white" if value > 0.6 else "black"
        mark = "\n(generated images)" if (model, dataset) in generated else ""
        words = f"{value:.3f}\n{low:.3f}–{high:.3f}\nn = {n:,}{mark}"
        axes.text(column, row, words, ha="center", va="center", color=color, fontsize=9)
    image = axes.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.argwhere(np.isnan(values)):
        words = "not asked: its own data,\nor no classes in common"
        axes.text(column, row, words, ha="center", va="center", color="0.5", fontsize=8)
    axes.set_xticks(range(len(sets)), sets)
    axes.set_yticks(range(len(models)), models)
    axes.set(xlabel="asked about", ylabel="model of", title=f"{title}, 95 % interval")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, shrink=0.8)
    save(figure, path)


def _panels(tables: Mapping[str, pd.DataFrame], title: str) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(5 * len(tables), 5.7), layout="constrained")
    panels = list(figure.subplots(1, len(tables), squeeze=False)[0])
    for axes, subset in zip(panels, tables, strict=True):
        axes.set_title(NAMES[subset])
        axes.grid(alpha=0.25)
    figure.suptitle(title, parse_math=False)
    return figure, panels
