"""Charts of heat maps: the same bytes on every run, for any number of cases, methods and classes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brain_tumor.plotting.attribution import (
    HeatCase,
    plot_deletion_insertion,
    plot_heat_cases,
    plot_mean_maps,
    plot_randomization,
)

RANDOM = np.random.default_rng(0)
MAPS = RANDOM.random((2, 32, 32)).astype(np.float32)
BY_MAP = {name: [0.9, 0.5, 0.1] for name in ("random order", "center", "m")}
FRACTIONS = [0.0, 0.1, 0.5]
CURVES = {"deletion": BY_MAP, "insertion": BY_MAP}
CORRELATIONS: dict[str, dict[str, list[float | None]]] = {
    "m": {"head": [0.9, 0.8, 1.0], "conv": [0.1, 0.0, 0.2]},
    "empty": {"head": [0.9, 0.8, 1.0], "conv": [None, None, None]},
}


def draw_heat_cases(path: Path, title: str) -> None:
    image, mask = np.full((32, 32), 90, np.uint8), np.zeros((32, 32), np.uint8)
    mask[8:16, 8:16] = 255
    heats = {"for $a$": MAPS[0], "for b": MAPS[1]}
    cases = [HeatCase(image, heats, mask, "correct: a_{$", False), HeatCase(image, heats, None, "incorrect: b", True)]
    plot_heat_cases(path, cases, title)


def draw_mean_maps(path: Path, title: str) -> None:
    outside = np.linspace(0, 1, 2 * 32 * 32).reshape(2, 32, 32)
    plot_mean_maps(path, {"m": MAPS, "n": MAPS * 3}, outside, {"a": 5, "b": 7}, title)


def draw_deletion_insertion(path: Path, title: str) -> None:
    plot_deletion_insertion(path, CURVES, FRACTIONS, ["m"], title)


def draw_randomization(path: Path, title: str) -> None:
    plot_randomization(path, CORRELATIONS, 0.5, title)


DRAW = [draw_heat_cases, draw_mean_maps, draw_deletion_insertion, draw_randomization]


@pytest.mark.parametrize("draw", DRAW)
def test_charts_drawn_twice_are_the_same_bytes(draw: Callable[[Path, str], None], tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        draw(tmp_path / name, "maps of $set$")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as image:
        assert "Software" not in image.info
        assert np.asarray(image.convert("L")).std() > 10, "the chart is not empty"


def test_plot_heat_cases_without_cases_is_drawn(tmp_path: Path) -> None:
    plot_heat_cases(tmp_path / "none.png", [], "none")
    assert (tmp_path / "none.png").exists()


def test_plot_heat_cases_mask_outline_is_drawn(tmp_path: Path) -> None:
    image = np.full((64, 64), 90, np.uint8)
    heats = {"m": np.zeros((64, 64), np.float32)}
    mask = np.zeros((64, 64), np.uint8)
    mask[16:32, 16:32] = 255

    def count_cyan(mask: np.ndarray | None) -> int:
        plot_heat_cases(tmp_path / "case.png", [HeatCase(image, heats, mask, "case", False)], "case")
        with Image.open(tmp_path / "case.png") as chart:
            red, green, blue = np.moveaxis(np.asarray(chart.convert("RGB")).astype(int), 2, 0)
        return int(((green - red > 60) & (blue - red > 60)).sum())

    assert count_cyan(mask) > 100
    assert count_cyan(None) == 0


def test_plot_deletion_insertion_baselines_have_their_own_style(tmp_path: Path) -> None:
    plot_deletion_insertion(tmp_path / "one.png", CURVES, FRACTIONS, ["m"], "curves")
    plot_deletion_insertion(tmp_path / "two.png", CURVES, FRACTIONS, ["center"], "curves")
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "two.png").read_bytes()
