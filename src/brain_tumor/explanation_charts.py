"""Heat maps over images, and charts of what is measured of them, as PNG files of the same bytes on every run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from brain_tumor.plots import TEN_COLORS, save
from brain_tumor.sheets import CELL, HEAT, Gray, grid, overlay
from brain_tumor.trust import Span

Maps = NDArray[np.float32]
RANDOM, BLURRED, CENTER = "random order", "blurred random", "center"
BLIND = {RANDOM: "0.3", BLURRED: "0.55", CENTER: "0.75"}  # maps that know nothing, and their grays


class HeatCase(NamedTuple):
    """An image (S, S), its heat maps (S, S) 0 to 1 by name, its mask or None, a caption, and if it went wrong."""

    image: Gray
    heats: Mapping[str, Maps]
    mask: Gray | None
    caption: str
    wrong: bool


def heat_sheet(path: Path, cases: Sequence[HeatCase], title: str) -> None:
    """Show each image beside itself under its heat maps, with the tumor's outline where there is a mask."""
    panels = max((1 + len(case.heats) for case in cases), default=2)
    columns = max(1, 6 // panels)
    figure, cells = grid(len(cases), columns, (panels + 0.1) * CELL, CELL * 1.22, title)
    for axes, case in zip(cells, cases, strict=False):
        side = case.image.shape[0]
        step = side + max(2, side // 40)
        canvas = np.full((side, panels * step - (step - side), 3), 255, np.uint8)
        shown = {"": np.repeat(case.image[:, :, None], 3, 2)}
        shown |= {name: overlay(case.image, heat) for name, heat in case.heats.items()}
        for number, (name, pixels) in enumerate(shown.items()):
            canvas[:, number * step : number * step + side] = pixels
            if name:
                words = axes.text(number * step + 4, side - 5, name, fontsize=8, color="white", parse_math=False)
                words.set_bbox({"boxstyle": "square,pad=0.15", "facecolor": "black", "alpha": 0.6, "linewidth": 0})
        axes.imshow(canvas)
        if case.mask is not None and case.mask.any():
            for number in range(len(shown)):
                across = np.arange(side) + number * step
                axes.contour(across, np.arange(side), case.mask, [127], colors="cyan", linewidths=0.8)
        color = "firebrick" if case.wrong else "black"
        axes.set_title(case.caption, fontsize=9, linespacing=1.25, color=color, parse_math=False)
    scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(0, 1), HEAT)
    bar = figure.colorbar(scale, ax=figure.axes, shrink=min(1.0, 3 / (figure.get_figheight())), aspect=30, pad=0.01)
    bar.set_label("relative relevance within the image")
    save(figure, path)


def mean_maps(path: Path, maps: Mapping[str, Mapping[str, Maps]], counts: Mapping[str, int], title: str) -> None:
    """Draw the mean map of each class (columns) by each method (rows), in multiples of evenly spread relevance.

    Args:
        maps: by method and class (S, S), each of mean 1; under '' how often (0 to 1) a pixel is outside the head.
        counts: images of each class.
    """
    classes = list(counts)
    methods = [name for name in maps if name]
    figure = Figure(figsize=(1.4 + 2.1 * len(classes), 0.9 + 2.25 * len(methods)), layout="constrained")
    panels = figure.subplots(len(methods), len(classes), squeeze=False)
    for number, (method, row) in enumerate(zip(methods, panels, strict=True)):
        top = max(1.0, *(float(maps[method][label].max()) for label in classes))
        for label, axes in zip(classes, row, strict=True):
            image = axes.imshow(maps[method][label], cmap=HEAT, vmin=0, vmax=top)
            axes.contour(maps[""][label], [0.5], colors="white", linewidths=0.9, linestyles="dashed")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            if not number:
                axes.set_title(f"{label}, n = {counts[label]}", fontsize=10, parse_math=False)
        row[0].set_ylabel(method, fontsize=10)
        figure.colorbar(image, ax=list(row), label="times even", shrink=0.85, pad=0.01)
    figure.suptitle(title, fontsize=12, parse_math=False)
    save(figure, path)


def removal_chart(path: Path, curves: Mapping[str, Mapping[str, NDArray[np.float64]]], title: str) -> None:
    """Draw the mean probability of the class as pixels are deleted and inserted, the most relevant first.

    Args:
        curves: (steps,) by `deletion` or `insertion` and by map; maps that do not ask the model are dashed.
    """
    figure = Figure(figsize=(9.5, 4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    words = {"deletion": "pixels turned black (lower is better)", "insertion": "pixels restored (higher is better)"}
    for axes, (kind, by_map) in zip(panels, curves.items(), strict=True):
        for name, values in by_map.items():
            color, style = (BLIND[name], "--") if name in BLIND else (TEN_COLORS[len(axes.lines) - len(BLIND)], "-")
            axes.plot(np.linspace(0, 100, len(values)), values, style, color=color, lw=1.8, label=name)
        axes.set(xlabel=f"% of {words[kind]}", ylim=(0, 1), xlim=(0, 100), title=kind)
        axes.grid(alpha=0.25)
    panels[0].set_ylabel("mean probability of the class")
    panels[1].legend(frameon=False, fontsize=8, loc="lower right")
    figure.suptitle(title, fontsize=12, parse_math=False)
    save(figure, path)


def randomization_chart(path: Path, likeness: Mapping[str, Mapping[str, Span]], limit: float, title: str) -> None:
    """Draw how like a method's maps stay to those of the model while it is randomized from the head downwards.

    Args:
        likeness: by method and by the lowest part that is randomized, mean rank correlation with its interval.
        limit: from which a method counts as unchanged.
    """
    stages = list(next(iter(likeness.values())))
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(stages) + 1)
    for number, (method, by_stage) in enumerate(likeness.items()):
        values = np.array([(1.0, 1.0, 1.0), *(span[:3] for span in by_stage.values())])
        axes.plot(places, values[:, 0], "o-", color=TEN_COLORS[number], lw=1.8, ms=4, label=method)
        axes.fill_between(places, values[:, 1], values[:, 2], color=TEN_COLORS[number], alpha=0.15, lw=0)
    axes.axhline(limit, color="0.5", ls=":", lw=1.2)
    axes.text(places[-1], limit + 0.02, "unchanged above", ha="right", va="bottom", fontsize=8, color="0.4")
    axes.set_xticks(places, ["trained", *(f"down to\n{stage}" for stage in stages)], fontsize=8)
    axes.set(ylim=(-0.6, 1.05), ylabel="rank correlation\nwith the trained model's maps")
    axes.grid(axis="y", alpha=0.25)
    axes.legend(frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=12, parse_math=False)
    save(figure, path)
