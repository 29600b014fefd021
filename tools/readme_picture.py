"""The picture of the README: the pipeline, and the accuracy of each recipe."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brain_tumor.core.subsets import CLEAN
from brain_tumor.plotting.claims import add_legend, draw_claims
from brain_tumor.plotting.evaluation import COLORS
from brain_tumor.plotting.style import save_figure
from brain_tumor.reporting.summary import make_claim
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
INCHES_PER_RECIPE = 0.42


def draw_picture(path: Path | BytesIO, recipes: Sequence[RecipeResults]) -> None:
    """Draw the stages of the pipeline, and below them a row for each recipe that has been run."""
    recipes = [recipe for recipe in recipes if recipe.results]
    figure = Figure(figsize=(11, 2.6 + INCHES_PER_RECIPE * len(recipes)), layout="constrained")
    top, bottom = figure.subplots(2, 1, height_ratios=(1.15, 0.5 * len(recipes)))
    _draw_stages(top)
    draw_claims(bottom, [make_claim(recipe.summary()) for recipe in recipes])
    add_legend(figure, bottom, columns=4)
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
