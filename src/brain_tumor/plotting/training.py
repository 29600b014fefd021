"""Learning curves."""

from io import BytesIO
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from brain_tumor.plotting.style import CHART_INCHES, save_chart


def plot_learning_curves(path: Path | BytesIO, curves: pd.DataFrame, selected: int, title: str) -> None:
    """Draw loss and accuracy of training and validation by epoch.

    Args:
        path: the SVG file.
        curves: epoch, and loss and accuracy of train and validation.
        selected: the epoch that a line marks.
        title: figure title.
    """
    figure = Figure(figsize=(CHART_INCHES, 5.6), layout="constrained")
    texts = []
    for axes, quantity in zip(figure.subplots(2, 1, sharex=True), ("loss", "accuracy"), strict=True):
        for part, color, line in (("train", "tab:gray", "s--"), ("validation", "tab:blue", "o-")):
            values = curves[f"{part}_{quantity}"]
            if values.isna().all():  # a split without validation rows
                continue
            name = "training (augmented)" if part == "train" else part
            axes.plot(curves["epoch"], values, line, ms=3, color=color, label=name)
            texts.append(f"{name} {quantity}: {', '.join(f'{value:.3f}' for value in values)}")
        axes.axvline(selected, color="tab:orange", lw=1.2, ls=":", label=f"selected: epoch {selected}")
        axes.set(ylabel=quantity)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
    axes.set(xlabel="epoch")
    axes.legend(frameon=False, fontsize=8)
    save_chart(figure, path, title, f"By epoch. {'; '.join(texts)}. Epoch {selected} was selected.")
