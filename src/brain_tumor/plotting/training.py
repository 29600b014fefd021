"""Learning curves."""

from io import BytesIO
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from brain_tumor.plotting.style import save_figure


def plot_learning_curves(path: Path | BytesIO, curves: pd.DataFrame, selected: int, title: str) -> None:
    """Draw loss and accuracy of training and validation by epoch.

    Args:
        path: the PNG file.
        curves: epoch, and loss and accuracy of train and validation.
        selected: the epoch that a line marks.
        title: figure title.
    """
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for part, color in (("train", "tab:gray"), ("validation", "tab:blue")):
            if curves[f"{part}_{quantity}"].isna().all():  # a split without validation rows
                continue
            name = "training (augmented)" if part == "train" else part
            axes.plot(curves["epoch"], curves[f"{part}_{quantity}"], "o-", ms=3, color=color, label=name)
        axes.axvline(selected, color="tab:orange", lw=1, label=f"selected: epoch {selected}")
        axes.set(xlabel="epoch", ylabel=quantity)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    figure.suptitle(title)
    save_figure(figure, path)
