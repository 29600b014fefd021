"""Style of all charts, and files that are the same bytes on every run."""

import re
from html import escape
from io import BytesIO
from pathlib import Path
from textwrap import fill

import matplotlib as mpl
from matplotlib.figure import Figure

TEN_COLORS = [mpl.colors.to_hex(color) for color in mpl.colormaps["tab10"].colors]  # type: ignore[attr-defined]
LINE_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))  # beside the colors, for those who do not see them
DOTS_PER_INCH = 120
CHART_INCHES = 5.4  # width of a chart: two fit beside each other on a screen, one on a phone
CHARACTERS_PER_INCH = 11  # of a title
SVG_FONTS = "font-family: 'DejaVu Sans', Verdana, sans-serif"  # of the same widths
SVG_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))  # none: they would change the bytes

mpl.use("agg")
mpl.rcParams.update(
    {
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "brain-tumor-mri",
    }
)


def save_figure(figure: Figure, path: Path | BytesIO) -> None:
    """Write a figure as PNG without matplotlib's version in the metadata, which would change the bytes."""
    figure.savefig(path, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})


def save_chart(figure: Figure, path: Path | BytesIO, title: str, description: str) -> None:
    """Write a figure as SVG, with text as text.

    Args:
        figure: without a title.
        path: the file.
        title: above the figure, in as many lines as its width needs, and the title of the SVG file.
        description: what the chart shows, with its numbers, for those who do not see it.
    """
    width = figure.get_figwidth()
    figure.suptitle(
        fill(title, int(width * CHARACTERS_PER_INCH), break_on_hyphens=False), fontsize=11, parse_math=False
    )
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata=SVG_METADATA)
    svg = re.sub(r"font-family: [^;\"]+", SVG_FONTS, buffer.getvalue().decode())
    texts = f"<title>{escape(title)}</title>\n <desc>{escape(description)}</desc>"
    content = re.sub(r"(<svg[^>]*>)", rf"\g<1>\n {texts}", svg, count=1).encode()
    if isinstance(path, Path):
        path.write_bytes(content)
    else:
        path.write(content)
