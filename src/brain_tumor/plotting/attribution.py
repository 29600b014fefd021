"""Heat maps over images, and charts of their measurements, as PNG files that are the same bytes on every run."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from brain_tumor.core.types import Floats, Gray, Maps
from brain_tumor.plotting.contact_sheets import CELL_INCHES, HEAT_COLORMAP, image_grid, overlay
from brain_tumor.plotting.style import TEN_COLORS, save_figure

CONTROL_GRAYS, CONTROL_STYLES = ("0.2", "0.5", "0.75"), ("--", ":", "-.")


class HeatCase(NamedTuple):
    """An image with its heat maps.

    Attributes:
        image: (S, S).
        heats: (S, S) maps, 0 to 1, by name.
        mask: (S, S) tumor mask, 0 or 255, or None.
        caption: text above the image.
        is_wrong: whether the prediction is wrong; its caption is red.
    """

    image: Gray
    heats: Mapping[str, Maps]
    mask: Gray | None
    caption: str
    is_wrong: bool


def plot_heat_cases(path: Path, cases: Sequence[HeatCase], title: str) -> None:
    """Draw each image next to itself under its heat maps, with the outline of the tumor where there is a mask."""
    panels = max((1 + len(case.heats) for case in cases), default=2)
    columns = max(1, 6 // panels)
    figure, cells = image_grid(len(cases), columns, (panels + 0.1) * CELL_INCHES, CELL_INCHES * 1.22, title)
    for axes, case in zip(cells, cases, strict=False):
        side = case.image.shape[0]
        step = side + max(2, side // 40)
        canvas = np.full((side, panels * step - (step - side), 3), 255, np.uint8)
        panel_images = {"": np.repeat(case.image[:, :, None], 3, 2)}
        panel_images |= {name: overlay(case.image, heat) for name, heat in case.heats.items()}
        for number, (name, pixels) in enumerate(panel_images.items()):
            canvas[:, number * step : number * step + side] = pixels
            if name:
                text = axes.text(number * step + 4, side - 5, name, fontsize=8, color="white", parse_math=False)
                text.set_bbox({"boxstyle": "square,pad=0.15", "facecolor": "black", "alpha": 0.6, "linewidth": 0})
        axes.imshow(canvas)
        if case.mask is not None and case.mask.any():
            for number in range(len(panel_images)):
                across = np.arange(side) + number * step
                axes.contour(across, np.arange(side), case.mask, [127], colors="cyan", linewidths=0.8)
        color = "firebrick" if case.is_wrong else "black"
        axes.set_title(case.caption, fontsize=9, linespacing=1.25, color=color, parse_math=False)
    scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(0, 1), HEAT_COLORMAP)
    bar = figure.colorbar(scale, ax=figure.axes, shrink=min(1.0, 3 / (figure.get_figheight())), aspect=30, pad=0.01)
    bar.set_label("relevance, on one scale for all maps of a method")
    save_figure(figure, path)


def plot_mean_maps(
    path: Path, maps: Mapping[str, Maps], outside_head: Floats, counts: Mapping[str, int], title: str
) -> None:
    """Draw the mean map of each class (columns) by each method (rows), relative to mean relevance.

    Args:
        maps: (K, S, S) by method, relative to the method's mean relevance.
        outside_head: (K, S, S) fraction of the images in which a pixel is outside the head.
        counts: number of images of each of the K classes.
    """
    classes, methods = list(counts), list(maps)
    figure = Figure(figsize=(1.4 + 2.1 * len(classes), 0.9 + 2.25 * len(methods)), layout="constrained")
    panels = figure.subplots(len(methods), len(classes), squeeze=False)
    for number, (method, row) in enumerate(zip(methods, panels, strict=True)):
        maximum = max(1.0, *(float(values.max()) for values in maps[method]))
        for label, values, outside, axes in zip(classes, maps[method], outside_head, row, strict=True):
            image = axes.imshow(values, cmap=HEAT_COLORMAP, vmin=0, vmax=maximum)
            axes.contour(outside, [0.5], colors="white", linewidths=0.9, linestyles="dashed")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            if not number:
                axes.set_title(f"{label}, n = {counts[label]}", fontsize=10, parse_math=False)
        row[0].set_ylabel(method, fontsize=10)
        figure.colorbar(image, ax=list(row), label="× mean relevance", shrink=0.85, pad=0.01)
    figure.suptitle(title, fontsize=12, parse_math=False)
    save_figure(figure, path)


def plot_deletion_insertion(
    path: Path,
    curves: Mapping[str, Mapping[str, Sequence[float]]],
    fractions: Sequence[float],
    methods: Collection[str],
    title: str,
) -> None:
    """Draw the mean probability of the class as parts of images are deleted and inserted, the most relevant first.

    Args:
        curves: (steps,) by `deletion` or `insertion` and by map.
        fractions: (steps,) fraction of the image that is deleted or inserted.
        methods: the maps that depend on the model; the others are dashed.
    """
    figure = Figure(figsize=(11, 4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    labels = {
        "deletion": "the image imputed (lower is better)",
        "insertion": "the blurred image restored (higher is better)",
    }
    for axes, (kind, by_map) in zip(panels, curves.items(), strict=True):
        colors = iter(TEN_COLORS)
        styles = itertools.cycle(itertools.product(CONTROL_STYLES, CONTROL_GRAYS))
        positions = np.arange(len(fractions))
        for name, values in by_map.items():
            style, color = ("-", next(colors)) if name in methods else next(styles)
            axes.plot(positions, values, style, color=color, lw=1.8, label=name)
        axes.set_xticks(positions, [f"{100 * fraction:.2g}" for fraction in fractions])
        axes.set(xlabel=f"% of {labels[kind]}", ylim=(0, 1), title=kind)
        axes.grid(alpha=0.25)
    panels[0].set_ylabel("mean probability of the class")
    panels[1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.suptitle(title, fontsize=12, parse_math=False)
    save_figure(figure, path)


def plot_randomization(
    path: Path,
    correlations: Mapping[str, Mapping[str, Sequence[float | None]]],
    max_correlation: float,
    title: str,
) -> None:
    """Draw the similarity of maps to those of the model under cascading randomization, from the head downwards.

    Args:
        correlations: for each method and lowest randomized part: mean rank correlation and the ends of its interval,
            None where it is not defined.
        max_correlation: above it, maps do not depend on the weights.
    """
    stages = list(next(iter(correlations.values())))
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    axes = figure.subplots()
    positions = np.arange(len(stages) + 1)
    for number, (method, by_stage) in enumerate(correlations.items()):
        values = np.array([(1.0, 1.0, 1.0), *(estimate[:3] for estimate in by_stage.values())], np.float64)
        axes.plot(positions, values[:, 0], "o-", color=TEN_COLORS[number], lw=1.8, ms=4, label=method)
        axes.fill_between(positions, values[:, 1], values[:, 2], color=TEN_COLORS[number], alpha=0.15, lw=0)
    axes.axhline(max_correlation, color="0.5", ls=":", lw=1.2)
    label = "not sensitive to the weights"
    axes.text(positions[-1], max_correlation + 0.02, label, ha="right", va="bottom", fontsize=8, color="0.4")
    axes.set_xticks(positions, ["trained", *(f"down to\n{stage}" for stage in stages)], fontsize=8)
    axes.set(ylim=(-0.6, 1.05), ylabel="rank correlation\nwith the trained model's maps")
    axes.grid(axis="y", alpha=0.25)
    axes.legend(frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=12, parse_math=False)
    save_figure(figure, path)
