"""Charts of train–test leakage and of images that data sets share."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from brain_tumor.core.subsets import CLEAN
from brain_tumor.plotting.claims import Accuracy, plot_accuracies
from brain_tumor.plotting.style import save_figure

# Title, color and marker of the test images of each type of leakage, the closest relation first.
LEAK_STYLES = {
    "duplicate": ("duplicate in training", "#cc4438", "o"),
    "transformed_duplicate": ("mirrored or rotated duplicate in training", "#d98014", "D"),
    "same_group": ("image of the same group in training", "#8073ac", "s"),
    "unknown_patient": ("no related image found, patient unknown", "#888888", "v"),
    CLEAN: ("patient without images in training", "#3079b9", "^"),
}


def plot_accuracy_by_leak(
    path: Path | BytesIO, by_leak: Mapping[str, tuple[float, float, float, int]], title: str
) -> None:
    """Draw the accuracy on the test images of each type of leakage, with their number.

    Args:
        path: the SVG file to write.
        by_leak: for LEAK_TYPES and CLEAN, where there are such images: accuracy, low and high end of its 95 %
            interval, and n.
        title: above the chart.
    """
    styles = {leak: style for leak, style in LEAK_STYLES.items() if leak in by_leak}
    rows = [Accuracy(name, *by_leak[leak], color, marker) for leak, (name, color, marker) in styles.items()]
    plot_accuracies(path, rows, title)


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
