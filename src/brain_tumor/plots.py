"""Charts as PNG files that are the same bytes on every run."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

mpl.use("agg")
mpl.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})


def save(figure: Figure, path: Path | BytesIO) -> None:
    """Write the figure without the library's banner, which would change the bytes with its version."""
    figure.savefig(path, format="png", dpi=120, metadata={"Software": None})


def confusion_matrix(path: Path, counts: NDArray[np.int64], classes: Sequence[str], title: str) -> None:
    """Draw (K, K) counts, truth by rows: the count in each cell, colored by its share of the row."""
    size = len(classes)
    figure = Figure(figsize=(2.2 + 0.95 * size, 1.7 + 0.85 * size), layout="constrained")
    axes = figure.subplots()
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if share[row, column] > 0.55 else "black"
        axes.text(column, row, f"{count}\n{share[row, column]:.1%}", ha="center", va="center", color=color)
    axes.set_xticks(range(size), classes, rotation=30, ha="right")
    axes.set_yticks(range(size), classes)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
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
