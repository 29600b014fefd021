"""Charts of train–test leakage and of images that data sets share."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brain_tumor.core.subsets import CLEAN
from brain_tumor.plotting.style import save_figure

# Titles and colors of the test images by type of leakage, the closest relation first.
LEAK_STYLES = {
    "duplicate": ("duplicate in training", "#b2182b"),
    "transformed_duplicate": ("mirrored or rotated duplicate in training", "#e08214"),
    "same_group": ("image of the same group in training", "#8073ac"),
    "unknown_patient": ("no related image found, patient unknown", "#999999"),
    CLEAN: ("patient without images in training", "#2166ac"),
}
MIN_LABELED_FRACTION = 0.04  # of all test images: smaller parts of the bar have no number


def plot_accuracy_by_leak(
    path: Path | BytesIO, by_leak: Mapping[str, tuple[float, float, float, int]], title: str
) -> None:
    """Draw the number of test images by type of leakage, above the accuracy on each type.

    Args:
        path: the PNG file to write.
        by_leak: for LEAK_TYPES and CLEAN, where there are such images: accuracy, low and high end of its 95 %
            interval, and n.
        title: above the chart.
    """
    leaks = [leak for leak in LEAK_STYLES if leak in by_leak]
    figure = Figure(figsize=(9, 4), layout="constrained")
    bar, axes = figure.subplots(2, 1, height_ratios=(1, 2.2))
    _draw_counts(bar, {leak: by_leak[leak][3] for leak in leaks})
    for row, leak in enumerate(leaks):
        accuracy, low, high, _ = by_leak[leak]
        color = LEAK_STYLES[leak][1]
        axes.plot([low, high], [row, row], color=color, lw=4, alpha=0.45, solid_capstyle="butt")
        axes.plot(accuracy, row, "o", color=color, ms=8)
        label = f"{accuracy:.3f}  ({low:.3f}–{high:.3f})"
        axes.text(1.02, row, label, va="center", transform=axes.get_yaxis_transform())
    bar.set_title(title)
    lowest = min(by_leak[leak][1] for leak in leaks)
    axes.set(xlim=(max(0.0, lowest - 0.05), 1.005), ylim=(len(leaks) - 0.5, -0.5), xlabel="accuracy, 95 % interval")
    axes.set_yticks(range(len(leaks)), [f"{LEAK_STYLES[leak][0]}\nn = {by_leak[leak][3]:,}" for leak in leaks])
    axes.grid(axis="x", alpha=0.25)
    save_figure(figure, path)


def _draw_counts(axes: Axes, counts: Mapping[str, int]) -> None:
    """Draw a stacked bar of the number of test images by type of leakage."""
    total, left = sum(counts.values()), 0
    for leak, n in counts.items():
        axes.barh(0, n, left=left, color=LEAK_STYLES[leak][1], edgecolor="white")
        if n > MIN_LABELED_FRACTION * total:
            axes.text(left + n / 2, 0, f"{n:,}", ha="center", va="center", color="white", fontsize=12)
        left += n
    axes.set_xlim(0, total)
    axes.axis("off")


def plot_overlap_matrix(path: Path, shared: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw how many images of each data set (rows) have a duplicate in each other one (columns).

    Args:
        path: the PNG file to write.
        shared: for each data set `images`, the total, and `duplicate`, the number with a duplicate in each
            other data set.
    """
    names = list(shared)
    fractions = np.array([[shared[a]["duplicate"].get(b, np.nan) / shared[a]["images"] for b in names] for a in names])
    figure = Figure(figsize=(3.2 + 1.3 * len(names), 2 + 0.8 * len(names)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(fractions, cmap="Reds", vmin=0, vmax=1)
    for (row, column), fraction in np.ndenumerate(fractions):
        if row != column:
            label = f"{shared[names[row]]['duplicate'][names[column]]:,}\n{fraction:.1%}"
            color = "white" if fraction > 0.55 else "black"
            axes.text(column, row, label, ha="center", va="center", color=color)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_yticks(range(len(names)), [f"{name}\n{shared[name]['images']:,} images" for name in names])
    axes.set(xlabel="have a duplicate in", title="images that data sets share")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, label="fraction of the row's images", shrink=0.8)
    save_figure(figure, path)
