"""Charts as PNG files that are the same bytes on every run."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

# Kinds of test images by what of them was seen in training (see leakage.py), from the most to nothing.
LEAK_NAMES = {
    "copy": ("the same picture in training", "#b2182b"),
    "mirrored": ("mirrored or rotated in training", "#e08214"),
    "related": ("neighboring slice in training", "#8073ac"),
    "none": ("nothing of it in training", "#2166ac"),
}
TEN_COLORS = [mpl.colors.to_hex(color) for color in mpl.colormaps["tab10"].colors]  # type: ignore[attr-defined]

mpl.use("agg")
mpl.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})


def save(figure: Figure, path: Path | BytesIO) -> None:
    """Write the figure without the library's banner, which would change the bytes with its version."""
    figure.savefig(path, format="png", dpi=120, metadata={"Software": None})


def leak_chart(path: Path | BytesIO, by_leak: Mapping[str, tuple[float, float, float, int]], title: str) -> None:
    """Draw how many test images were seen in training, and how, over the accuracy on each kind.

    Args:
        by_leak: by the keys of LEAK_NAMES, where there are any, accuracy, low and high end of its interval, and n.
    """
    shown = [(kind, by_leak[kind]) for kind in LEAK_NAMES if kind in by_leak]
    total = sum(n for _, (*_, n) in shown)
    figure = Figure(figsize=(9, 4), layout="constrained")
    bar, axes = figure.subplots(2, 1, height_ratios=(1, 2.2))
    left = 0
    for row, (kind, (accuracy, low, high, n)) in enumerate(shown):
        color = LEAK_NAMES[kind][1]
        bar.barh(0, n, left=left, color=color, edgecolor="white")
        if n > 0.04 * total:
            bar.text(left + n / 2, 0, f"{n:,}", ha="center", va="center", color="white", fontsize=12)
        left += n
        axes.plot([low, high], [row, row], color=color, lw=4, alpha=0.45, solid_capstyle="butt")
        axes.plot(accuracy, row, "o", color=color, ms=8)
        words = f"{accuracy:.3f}  ({low:.3f}–{high:.3f})"
        axes.text(1.02, row, words, va="center", transform=axes.get_yaxis_transform())
    bar.set(xlim=(0, total), title=title)
    bar.axis("off")
    lowest = min(low for _, (_, low, _, _) in shown)
    axes.set(xlim=(max(0.0, lowest - 0.05), 1.005), ylim=(len(shown) - 0.5, -0.5), xlabel="accuracy, 95 % interval")
    axes.set_yticks(range(len(shown)), [f"{LEAK_NAMES[kind][0]}\nn = {n:,}" for kind, (*_, n) in shown])
    axes.grid(axis="x", alpha=0.25)
    save(figure, path)


def overlap_matrix(path: Path, shared: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw how many images of each data set (rows) have a copy in each other one (columns).

    Args:
        shared: by data set images, and copied by the other data sets.
    """
    names = list(shared)
    share = np.array([[shared[a]["copied"].get(b, np.nan) / shared[a]["images"] for b in names] for a in names])
    figure = Figure(figsize=(3.2 + 1.3 * len(names), 2 + 0.8 * len(names)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, cmap="Reds", vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(share):
        if row != column:
            words = f"{shared[names[row]]['copied'][names[column]]:,}\n{value:.1%}"
            axes.text(column, row, words, ha="center", va="center", color="white" if value > 0.55 else "black")
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_yticks(range(len(names)), [f"{name}\n{shared[name]['images']:,} images" for name in names])
    axes.set(xlabel="have a copy in", title="images that data sets share")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, label="share of the row's images", shrink=0.8)
    save(figure, path)


def learning_curves(path: Path | BytesIO, curves: pd.DataFrame, selected: int, title: str) -> None:
    """Draw loss and accuracy of training and validation by epoch; a line marks the selected epoch."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, what in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for part, color in (("train", "tab:gray"), ("validation", "tab:blue")):
            name = "training (augmented)" if part == "train" else part
            axes.plot(curves["epoch"], curves[f"{part}_{what}"], "o-", ms=3, color=color, label=name)
        axes.axvline(selected, color="tab:orange", lw=1, label=f"selected: epoch {selected}")
        axes.set(xlabel="epoch", ylabel=what)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    figure.suptitle(title)
    save(figure, path)
