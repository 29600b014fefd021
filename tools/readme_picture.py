"""The picture of the README: the pipeline, and the accuracy of each recipe."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brain_tumor.core.subsets import CLEAN, PUBLISHED
from brain_tumor.metrics.bootstrap import Estimate
from brain_tumor.plotting.evaluation import COLORS
from brain_tumor.plotting.style import save_figure
from brain_tumor.reporting.results import Results
from readme_tables import RecipeResults

STAGES = (
    ("download", "Kaggle, figshare,\nRoboflow, your files"),
    ("audit", "copies, adjacent slices,\nseries, patients"),
    ("split", "preprocessed images,\nwhole groups"),
    ("train", "any timm model,\nCPU or GPU"),
    ("evaluate", "by patient, beside the\npublished split"),
    ("explain", "heat maps and\ntheir checks"),
    ("report", "page, model card,\nONNX, app"),
)
CLAIM, ALL, BY_PATIENT = "published result", "all test images of the split", "by patient, as far as known"
BASELINE = "best baseline without deep learning, same images"
INCHES_PER_RECIPE = 0.42


def draw_picture(path: Path | BytesIO, recipes: Sequence[RecipeResults]) -> None:
    """Draw the stages of the pipeline, and below them a row for each recipe that has been run."""
    recipes = [recipe for recipe in recipes if recipe.results]
    figure = Figure(figsize=(11, 2.6 + INCHES_PER_RECIPE * len(recipes)), layout="constrained")
    top, bottom = figure.subplots(2, 1, height_ratios=(1.15, 0.5 * len(recipes)))
    _draw_stages(top)
    for row, recipe in enumerate(recipes):
        _draw_recipe(bottom, row, recipe)
    names = [
        f"{recipe.name}\n{recipe.dataset}{' (generated images)' if recipe.generated else ''}" for recipe in recipes
    ]
    bottom.set_yticks(range(len(recipes)), names, fontsize=9)
    bottom.set(xlim=(0.3, 1.02), ylim=(len(recipes) - 0.4, -0.6), xlabel="accuracy, 95 % interval")
    bottom.grid(axis="x", alpha=0.25)
    handles = dict(zip(*reversed(bottom.get_legend_handles_labels()), strict=True))
    order = [name for name in (CLAIM, ALL, BY_PATIENT, BASELINE) if name in handles]
    figure.legend([handles[name] for name in order], order, loc="outside lower center", ncols=4, frameon=False)
    save_figure(figure, path)


def _draw_stages(axes: Axes) -> None:
    axes.set(xlim=(0, len(STAGES)), ylim=(0, 1))
    axes.axis("off")
    for column, (name, note) in enumerate(STAGES):
        box = {"boxstyle": "round,pad=0.35", "facecolor": "#e8eef5", "edgecolor": COLORS[CLEAN], "linewidth": 0.8}
        axes.text(column + 0.5, 0.78, name, ha="center", va="center", fontsize=10, fontweight="bold", bbox=box)
        axes.text(column + 0.5, 0.5, note, ha="center", va="top", fontsize=8, color="0.3", linespacing=1.3)
        if column:
            axes.text(column, 0.78, "→", ha="center", va="center", fontsize=12, color="0.4")


def _draw_recipe(axes: Axes, row: int, recipe: RecipeResults) -> None:
    results: Results | None = recipe.results
    assert results
    if recipe.published:
        claim = recipe.published["accuracy"]
        axes.plot(claim, row - 0.26, "D", mfc="none", mec="black", ms=6, ls="none", label=CLAIM)
    # By patients if that was measured, else the clean test images; without either, baselines are on all test images.
    by_patient, subset = (recipe.by_patient, "all") if recipe.by_patient else (results, CLEAN)
    honest = by_patient.get("accuracy", subset)
    subset = subset if honest else PUBLISHED
    baselines = [value for name in by_patient.baselines(subset) if (value := by_patient.get("accuracy", subset, name))]
    dots = (
        (ALL, results.get("accuracy"), COLORS[PUBLISHED], "o", -0.13),
        (BY_PATIENT, honest, COLORS[CLEAN], "o", 0.09),
        (BASELINE, max(baselines, default=None), "0.55", "s", 0.3),
    )
    for name, estimate, color, marker, shift in dots:
        if estimate is not None:
            _draw_dot(axes, row + shift, estimate, color, marker, name)


def _draw_dot(axes: Axes, y: float, estimate: Estimate, color: str, marker: str, name: str) -> None:
    axes.hlines(y, estimate.low, estimate.high, color=color, lw=3, alpha=0.35)
    axes.plot(estimate.value, y, marker, color=color, ms=5, ls="none", label=name)
