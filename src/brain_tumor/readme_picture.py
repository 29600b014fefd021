"""The README's picture: the way from a data set to people, and what claims are worth, from what is in metrics/."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from brain_tumor.charts import COLORS
from brain_tumor.plots import save
from brain_tumor.results import Figure, Results

STEPS = (
    ("download", "Kaggle, figshare,\nRoboflow, your own"),
    ("audit", "copies, mirrored ones,\nneighboring slices"),
    ("split", "enhanced images,\ngroups stay whole"),
    ("train", "any timm model,\nCPU or GPU"),
    ("evaluate", "all test images,\nclean ones, intervals"),
    ("explain", "heat maps, and what\nthey are worth"),
    ("report", "page, model card,\nONNX, app"),
)
ALL, CLEAN, CLAIM = "all test images", "clean test images", "claimed"
BASELINE = "best model without deep learning, clean"


def picture(path: Path | BytesIO, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw it.

    Args:
        rows: of each recipe name, dataset, generated, published (its claim or None) and results (`Results` or None).
    """
    figure = Canvas(figsize=(11, 2.6 + 0.42 * len(rows)), layout="constrained")
    top, below = figure.subplots(2, 1, height_ratios=(1.15, 0.5 * len(rows)))
    _steps(top)
    for place, row in enumerate(rows):
        _recipe(below, place, row)
    names = [f"{row['name']}\n{row['dataset']}{' (generated images)' if row['generated'] else ''}" for row in rows]
    below.set_yticks(range(len(rows)), names, fontsize=9)
    below.set(xlim=(0.3, 1.02), ylim=(len(rows) - 0.4, -0.6), xlabel="accuracy, 95 % interval")
    below.grid(axis="x", alpha=0.25)
    known = dict(zip(*reversed(below.get_legend_handles_labels()), strict=True))
    order = [name for name in (CLAIM, ALL, CLEAN, BASELINE) if name in known]
    figure.legend([known[name] for name in order], order, loc="outside lower center", ncols=4, frameon=False)
    save(figure, path)


def _steps(axes: Axes) -> None:
    axes.set(xlim=(0, len(STEPS)), ylim=(0, 1))
    axes.axis("off")
    for place, (name, words) in enumerate(STEPS):
        box = {"boxstyle": "round,pad=0.35", "facecolor": "#e8eef5", "edgecolor": COLORS["clean"], "linewidth": 0.8}
        axes.text(place + 0.5, 0.78, name, ha="center", va="center", fontsize=10, fontweight="bold", bbox=box)
        axes.text(place + 0.5, 0.5, words, ha="center", va="top", fontsize=8, color="0.3", linespacing=1.3)
        if place:
            axes.text(place, 0.78, "→", ha="center", va="center", fontsize=12, color="0.4")


def _recipe(axes: Axes, place: int, row: Mapping[str, Any]) -> None:
    results: Results | None = row["results"]
    if row["published"]:
        claim = row["published"]["accuracy"]
        axes.plot(claim, place - 0.26, "D", mfc="none", mec="black", ms=6, ls="none", label=CLAIM)
    if results is None:
        axes.text(0.31, place, "not run yet", va="center", fontsize=9, color="0.5", style="italic")
        return
    baselines = [found for name in results.models() if (found := results.get("accuracy", "clean", name))]
    shown = (
        (ALL, results.get("accuracy"), COLORS["published"], "o", -0.13),
        (CLEAN, results.get("accuracy", "clean"), COLORS["clean"], "o", 0.09),
        (BASELINE, max(baselines, default=None), "0.55", "s", 0.3),
    )
    for name, found, color, marker, shift in shown:
        if found is not None:
            _dot(axes, place + shift, found, color, marker, name)


def _dot(axes: Axes, place: float, found: Figure, color: str, marker: str, name: str) -> None:
    axes.hlines(place, found.low, found.high, color=color, lw=3, alpha=0.35)
    axes.plot(found.value, place, marker, color=color, ms=5, ls="none", label=name)
