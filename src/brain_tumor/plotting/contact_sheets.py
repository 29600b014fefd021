"""Contact sheets: grids of images with captions, as PNG files that are the same bytes on every run."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from brain_tumor.core.types import Gray, Maps
from brain_tumor.imaging.decode import decode_gray
from brain_tumor.plotting.style import save_figure

CELL_INCHES = 1.9
PAIR_PIXELS = 160  # side of each image of a pair
COMPARISON_PIXELS = 200  # side of each image before and after preprocessing
GAP_PIXELS = 6  # between two images
MAX_NAME_CHARACTERS = 44
HEAT_COLORMAP = "inferno"
OUTLINE_COLOR = (0, 255, 255)  # of the tumor


def plot_pairs(
    path: Path, rows: Sequence[Sequence[tuple[str, str, str]]], read_file: Callable[[str], bytes], title: str
) -> None:
    """Show pairs of image files side by side, each kind of pair in a row of its own.

    Args:
        path: the PNG file to write.
        rows: for each pair in a row, the paths of two images and a caption.
        read_file: returns the bytes of a path.
        title: heading above all rows.
    """
    if not rows:
        figure = Figure(figsize=(6, 1.2))
        figure.text(0.5, 0.5, f"{title}: none", ha="center", va="center", parse_math=False)
        save_figure(figure, path)
        return
    columns = max(map(len, rows))
    figure, cells = image_grid(len(rows) * columns, columns, 2.15 * CELL_INCHES, 1.45 * CELL_INCHES, title)
    for number, pairs in enumerate(rows):
        for axes, (first, second, caption) in zip(cells[number * columns :], pairs, strict=False):
            images = [decode_gray(read_file(name)) for name in (first, second)]
            axes.imshow(_join_side_by_side(images, PAIR_PIXELS), cmap="gray", vmin=0, vmax=255)
            lines = f"{_shorten(first)}\n{_shorten(second)}\n{caption}"
            axes.set_title(lines, fontsize=8, linespacing=1.25, parse_math=False)
    save_figure(figure, path)


def plot_before_after(path: Path, pairs: Sequence[tuple[Gray, Gray, str]], title: str) -> None:
    """Show images before and after preprocessing.

    Args:
        path: the PNG file to write.
        pairs: the (H, W) image before and after, and its label.
        title: above all images.
    """
    figure, cells = image_grid(len(pairs), 3, 2.15 * CELL_INCHES, 1.2 * CELL_INCHES, title)
    for axes, (before, after, label) in zip(cells, pairs, strict=False):
        axes.imshow(_join_side_by_side((before, after), COMPARISON_PIXELS), cmap="gray", vmin=0, vmax=255)
        sizes = " → ".join(f"{shape[1]}×{shape[0]}" for shape in (before.shape, after.shape))
        axes.set_title(f"{label}  ({sizes})", fontsize=9)
    save_figure(figure, path)


def overlay(image: Gray, heat: Maps) -> Gray:
    """Lay a heat map (S, S), 0 to 1, over an (S, S) image: (S, S, 3) uint8; cold regions keep the image."""
    color = np.asarray(mpl.colormaps[HEAT_COLORMAP](heat))[:, :, :3] * 255
    alpha = 0.65 * np.clip(heat[:, :, None] * 1.5, 0, 1)
    blended: Gray = np.rint(image[:, :, None] * (1 - alpha) + color * alpha).astype(np.uint8)
    return blended


def join_views(image: Gray, mask: Gray | None, heats: Sequence[Maps] = ()) -> Gray:
    """Put an image and its heat maps side by side, each with the outline of the tumor.

    Args:
        image: (S, S).
        mask: (S, S), above 127 in the tumor; None without one.
        heats: (S, S), 0 to 1.

    Returns:
        (S, W, 3) uint8.
    """
    views = [np.repeat(image[:, :, None], 3, 2), *(overlay(image, heat) for heat in heats)]
    if mask is not None:
        inside = np.pad(mask > 127, 1)
        eroded = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
        for view in views:
            view[inside[1:-1, 1:-1] & ~eroded] = OUTLINE_COLOR
    gap = np.full((len(image), GAP_PIXELS, 3), 128, np.uint8)
    return np.hstack([part for view in views for part in (gap, view)][1:])


def image_grid(count: int, columns: int, width: float, height: float, title: str) -> tuple[Figure, list[Axes]]:
    """Make a figure under a title with at least `count` cells of width × height inches, row by row, without axes."""
    rows = max(1, -(-count // columns))
    figure = Figure(figsize=(columns * width, rows * height + 0.5), layout="constrained")
    cells = list(np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel())
    for axes in cells:
        axes.axis("off")
    figure.suptitle(title, fontsize=13, parse_math=False)
    return figure, cells


def _join_side_by_side(images: Sequence[Gray], side: int) -> Gray:
    """Join two images, each scaled into a square of `side` pixels, with a white gap between them."""
    left, right = (_fit_into_square(image, side) for image in images)
    return np.hstack([left, np.full((side, GAP_PIXELS), 255, np.uint8), right])


def _fit_into_square(image: Gray, side: int) -> Gray:
    """Scale an image into a square for display, keeping its aspect ratio."""
    small = Image.fromarray(image)
    small.thumbnail((side, side))
    canvas = Image.new("L", (side, side))
    canvas.paste(small, ((side - small.width) // 2, (side - small.height) // 2))
    return np.asarray(canvas)


def _shorten(name: str) -> str:
    """Keep the end of a long name."""
    return name if len(name) <= MAX_NAME_CHARACTERS else "…" + name[1 - MAX_NAME_CHARACTERS :]
