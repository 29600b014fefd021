"""PNG files of figures."""

import re
from html import unescape
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from brain_tumor.plotting.style import DOTS_PER_INCH, TEN_COLORS, save_chart, save_figure


def make_figure() -> Figure:
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([1, 2], [3, 4])
    return figure


def test_save_figure_png_does_not_name_the_software(tmp_path: Path) -> None:
    save_figure(make_figure(), tmp_path / "figure.partial")  # as atomic_outputs names it
    with Image.open(tmp_path / "figure.partial") as image:
        assert (image.format, image.size) == ("PNG", (2 * DOTS_PER_INCH, DOTS_PER_INCH))
        assert "Software" not in image.info
    assert mpl.__version__.encode() not in (tmp_path / "figure.partial").read_bytes()


def test_save_figure_twice_gives_the_same_bytes() -> None:
    files = [BytesIO(), BytesIO()]
    for file in files:
        save_figure(make_figure(), file)
    assert files[0].getvalue() == files[1].getvalue() != b""


def test_style_is_set_for_files_without_a_screen() -> None:
    assert mpl.get_backend().lower() == "agg"
    assert len(set(TEN_COLORS)) == 10
    assert all(re.fullmatch("#[0-9a-f]{6}", color) for color in TEN_COLORS)


def test_save_chart_is_the_same_bytes_with_text_as_text() -> None:
    files = [BytesIO(), BytesIO()]
    for file in files:
        save_chart(make_figure(), file, "a <b> title much longer than the figure is wide", "0.5 & more")
    text = files[0].getvalue().decode()
    assert files[0].getvalue() == files[1].getvalue()
    assert "<title>a &lt;b&gt; title much longer than the figure is wide</title>" in text
    assert "<desc>0.5 &amp; more</desc>" in text
    assert text.count("<text") > 5
    lines = re.findall(r">([^<]*)</text>", text) + re.findall(r"<tspan[^>]*>([^<]*)</tspan>", text)
    assert not [line for line in lines if len(unescape(line)) > 22], "the title is wrapped, not cut"
    assert mpl.__version__ not in text
    assert "<metadata>" not in text
