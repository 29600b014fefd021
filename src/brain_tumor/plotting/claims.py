"""Accuracies as they were published beside those on patients not in training."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brain_tumor.core.subsets import CLEAN, PUBLISHED
from brain_tumor.plotting.evaluation import COLORS
from brain_tumor.plotting.style import CHART_INCHES, save_chart

CLAIM, ALL, BY_PATIENT = "published result", "all test images of the split", "by patient, as far as known"
BASELINE = "best baseline without deep learning, same images"
LEGEND = (CLAIM, ALL, BY_PATIENT, BASELINE)

Interval = Sequence[float]  # value, low and high end of the 95 % interval; more numbers are not drawn


class Claim(NamedTuple):
    """The accuracies of a recipe, None where there is none.

    Attributes:
        name: of the recipe, and in a second line what is trained on.
        published: as its author reports it.
        test: on all test images of the split.
        by_patient: on patients or groups that are not in training.
        baseline: of the best baseline, on the images of `by_patient`, or else of `test`.
    """

    name: str
    published: float | None
    test: Interval | None
    by_patient: Interval | None
    baseline: Interval | None


class Accuracy(NamedTuple):
    """An accuracy with its 95 % interval and number of images (0: not known), and the look of its mark."""

    name: str
    value: float
    low: float
    high: float
    n: int
    color: str
    marker: str


def plot_accuracies(path: Path | BytesIO, rows: Sequence[Accuracy], title: str) -> None:
    """Draw accuracies below each other as an SVG file, each under its name."""
    figure = Figure(figsize=(CHART_INCHES, 1.1 + 0.62 * len(rows)), layout="constrained")
    axes = figure.subplots()
    texts = []
    for position, row in enumerate(rows):
        axes.plot([row.low, row.high], [position] * 2, color=row.color, lw=4, alpha=0.45, solid_capstyle="butt")
        axes.plot(row.value, position, row.marker, color=row.color, ms=8)
        count = f" (n = {row.n:,})" if row.n else ""
        interval = f" ({row.low:.3f}–{row.high:.3f})" if row.low < row.high else ""
        texts.append(f"{row.name}{count}: {row.value:.3f}{interval}")
        axes.text(0.01, position - 0.32, texts[-1], fontsize=9, va="center", transform=axes.get_yaxis_transform())
    lowest = min((row.low for row in rows), default=0.0)
    axes.set(xlim=(max(0.0, lowest - 0.05), 1.005), ylim=(len(rows) - 0.5, -0.6), xlabel="accuracy, 95 % interval")
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", alpha=0.25)
    save_chart(figure, path, title, f"Accuracy. {'; '.join(texts)}.")


def plot_claims(path: Path | BytesIO, claims: Sequence[Claim], title: str) -> None:
    """Draw the accuracies of each recipe as an SVG file."""
    figure = Figure(figsize=(CHART_INCHES, 1.6 + 0.5 * len(claims)), layout="constrained")
    axes = figure.subplots()
    draw_claims(axes, claims)
    add_legend(figure, axes, columns=1)
    save_chart(figure, path, title, f"Accuracy. {'; '.join(map(_describe, claims))}.")


def draw_claims(axes: Axes, claims: Sequence[Claim]) -> None:
    """Draw a row for each recipe."""
    for row, claim in enumerate(claims):
        if claim.published is not None:
            axes.plot(claim.published, row - 0.26, "D", mfc="none", mec="black", ms=6, ls="none", label=CLAIM)
        for name, interval, color, marker, shift in (
            (ALL, claim.test, COLORS[PUBLISHED], "o", -0.13),
            (BY_PATIENT, claim.by_patient, COLORS[CLEAN], "^", 0.09),
            (BASELINE, claim.baseline, "0.55", "s", 0.3),
        ):
            if interval is not None:
                value, low, high = interval[:3]
                axes.hlines(row + shift, low, high, color=color, lw=3, alpha=0.35)
                axes.plot(value, row + shift, marker, color=color, ms=5, ls="none", label=name)
    axes.set_yticks(range(len(claims)), [claim.name for claim in claims], fontsize=9)
    lows = [interval[1] for claim in claims for interval in claim[2:] if interval]
    axes.set(xlim=(min(0.3, *lows, 1) - 0.02, 1.02), ylim=(len(claims) - 0.4, -0.6), xlabel="accuracy, 95 % interval")
    axes.grid(axis="x", alpha=0.25)


def add_legend(figure: Figure, axes: Axes, columns: int) -> None:
    """Add the legend of what is drawn below the figure."""
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    names = [name for name in LEGEND if name in handles]
    figure.legend(
        [handles[name] for name in names], names, loc="outside lower center", ncols=columns, frameon=False, fontsize=9
    )


def _describe(claim: Claim) -> str:
    """Put the accuracies of a recipe into words."""
    texts = [] if claim.published is None else [f"{CLAIM} {claim.published:.4g}"]
    for name, interval in ((ALL, claim.test), (BY_PATIENT, claim.by_patient), (BASELINE, claim.baseline)):
        if interval is not None:
            value, low, high = interval[:3]
            texts.append(f"{name} {value:.3f} ({low:.3f}–{high:.3f})")
    return f"{claim.name.replace(chr(10), ', ')}: {', '.join(texts)}"
