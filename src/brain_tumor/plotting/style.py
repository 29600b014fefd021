"""Style of all charts, and PNG files that are the same bytes on every run."""

from io import BytesIO
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

TEN_COLORS = [mpl.colors.to_hex(color) for color in mpl.colormaps["tab10"].colors]  # type: ignore[attr-defined]
DOTS_PER_INCH = 120

mpl.use("agg")
mpl.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})


def save_figure(figure: Figure, path: Path | BytesIO) -> None:
    """Write a figure as PNG without matplotlib's version in the metadata, which would change the bytes."""
    figure.savefig(path, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
