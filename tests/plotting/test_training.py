"""Learning curves: what is drawn, read back from the figure."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from brain_tumor.plotting import training

CURVES = pd.DataFrame(
    {
        "epoch": [1, 2, 3],
        "train_loss": [1.0, 0.6, 0.4],
        "train_accuracy": [0.4, 0.6, 0.8],
        "validation_loss": [1.1, 0.7, 0.9],
        "validation_accuracy": [0.3, 0.7, 0.6],
    }
)


def test_plot_learning_curves_draws_both_parts_and_the_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []
    texts: list[str] = []

    def keep(figure: Figure, _: Path, *title_and_description: str) -> None:
        figures.append(figure)
        texts.extend(title_and_description)

    monkeypatch.setattr(training, "save_chart", keep)
    training.plot_learning_curves(Path("unused.svg"), CURVES, 2, "a title")
    (figure,) = figures
    assert texts[0] == "a title"
    assert "validation loss: 1.100, 0.700, 0.900" in texts[1]
    for axes, quantity in zip(figure.axes, ("loss", "accuracy"), strict=True):
        assert axes.get_ylabel() == quantity
        lines = {str(line.get_label()): line for line in axes.lines}
        for label, part in (("training (augmented)", "train"), ("validation", "validation")):
            assert np.asarray(lines[label].get_xdata()).tolist() == [1, 2, 3]
            assert np.asarray(lines[label].get_ydata()).tolist() == CURVES[f"{part}_{quantity}"].tolist()
        assert np.asarray(lines["selected: epoch 2"].get_xdata()).tolist() == [2, 2]


def test_plot_learning_curves_twice_gives_the_same_bytes() -> None:
    files = [BytesIO(), BytesIO()]
    for file in files:
        training.plot_learning_curves(file, CURVES, 2, "a title")
    assert files[0].getvalue() == files[1].getvalue()
    assert files[0].getvalue().startswith(b"<?xml")
