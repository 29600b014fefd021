"""Contact sheets: grids of images with captions, as PNG files that are the same bytes on every run."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.images import read_gray
from brain_tumor.plots import save

Gray = NDArray[np.uint8]
CELL = 1.9  # inches
HEAT = "inferno"


# Two image files (content, content), their names, and what links them.
Pair = tuple[bytes, bytes, str, str, str]


def pair_sheet(path: Path, rows: Sequence[Sequence[Pair]], title: str) -> None:
    """Show pairs of image files side by side and as they are, each kind of pair in a row of its own."""
    if not rows:
        figure = Figure(figsize=(6, 1.2))
        figure.text(0.5, 0.5, f"{title}: none", ha="center", va="center", parse_math=False)
        save(figure, path)
        return
    columns = max(map(len, rows))
    figure, cells = grid(len(rows) * columns, columns, 2.15 * CELL, CELL * 1.45, title)
    for number, pairs in enumerate(rows):
        for axes, (first, second, name, other, what) in zip(cells[number * columns :], pairs, strict=False):
            left, right = (_fit(read_gray(content), 160) for content in (first, second))
            axes.imshow(np.hstack([left, np.full((160, 6), 255, np.uint8), right]), cmap="gray", vmin=0, vmax=255)
            axes.set_title(f"{_short(name)}\n{_short(other)}\n{what}", fontsize=8, linespacing=1.25, parse_math=False)
    save(figure, path)


def before_after_sheet(path: Path, pairs: Sequence[tuple[Gray, Gray, str]], title: str) -> None:
    """Show images before and after enhancement: (before, after, label)."""
    figure, cells = grid(len(pairs), 3, 2.15 * CELL, CELL * 1.2, title)
    for axes, (before, after, label) in zip(cells, pairs, strict=False):
        side = 200
        gap = np.full((side, 6), 255, np.uint8)
        axes.imshow(np.hstack([_fit(before, side), gap, _fit(after, side)]), cmap="gray", vmin=0, vmax=255)
        sizes = " → ".join(f"{shape[1]}×{shape[0]}" for shape in (before.shape, after.shape))
        axes.set_title(f"{label}  ({sizes})", fontsize=9)
    save(figure, path)


def case_sheet(path: Path, images: Sequence[Gray], captions: Sequence[str], title: str) -> None:
    """Show images with captions, six a row."""
    figure, cells = grid(max(1, len(images)), 6, 1.25 * CELL, CELL * 1.45, title)
    for axes, image, caption in zip(cells, images, captions, strict=False):
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        axes.set_title(caption, fontsize=8, linespacing=1.25, parse_math=False)
    save(figure, path)


def overlay(image: Gray, heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lay a heat map (0 to 1) over a gray image: (S, S, 3) uint8, cold regions keep the image."""
    color = np.asarray(mpl.colormaps[HEAT](heat))[:, :, :3] * 255
    alpha = 0.65 * np.clip(heat[:, :, None] * 1.5, 0, 1)
    mixed: Gray = np.rint(image[:, :, None] * (1 - alpha) + color * alpha).astype(np.uint8)
    return mixed


def grid(count: int, columns: int, width: float, height: float, title: str) -> tuple[Figure, list[mpl.axes.Axes]]:
    """A figure under a title with at least `count` cells of width × height inches, without axes, row by row."""
    rows = max(1, -(-count // columns))
    figure = Figure(figsize=(columns * width, rows * height + 0.5), layout="constrained")
    cells = list(np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel())
    for axes in cells:
        axes.axis("off")
    figure.suptitle(title, fontsize=13, parse_math=False)
    return figure, cells


def _fit(image: Gray, side: int) -> Gray:
    """Scale into a square for display, keeping the aspect ratio."""
    small = Image.fromarray(image)
    small.thumbnail((side, side))
    canvas = Image.new("L", (side, side))
    canvas.paste(small, ((side - small.width) // 2, (side - small.height) // 2))
    return np.asarray(canvas)


def _short(name: str, most: int = 44) -> str:
    return name if len(name) <= most else "…" + name[1 - most :]
