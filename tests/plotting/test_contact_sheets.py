"""Contact sheets are the same bytes on every run, and take any number of images and any file name."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brain_tumor.plotting.contact_sheets import OUTLINE_COLOR, join_views, overlay, plot_before_after, plot_pairs
from heads import head, png

FILES = {"a/x$\\foo$.png": png(head(1)), "b/y_{^.png": png(head(2, 60)), "c.png": png(head(3))}
ROWS = [[("a/x$\\foo$.png", "b/y_{^.png", "same $bytes$")], [("c.png", "c.png", "one"), ("c.png", "c.png", "two")]]


def image_size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        assert "Software" not in image.info
        return image.size


def test_plot_pairs_twice_same_bytes(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        plot_pairs(tmp_path / name, ROWS, FILES.__getitem__, "pairs of $set$")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_plot_pairs_size_grows_with_rows_and_columns(tmp_path: Path) -> None:
    plot_pairs(tmp_path / "small.png", ROWS[:1], FILES.__getitem__, "pairs")
    plot_pairs(tmp_path / "large.png", ROWS, FILES.__getitem__, "pairs")
    small, large = image_size(tmp_path / "small.png"), image_size(tmp_path / "large.png")
    assert large[0] == pytest.approx(2 * small[0], abs=2)
    assert large[1] > 1.5 * small[1]


def test_plot_pairs_no_pairs_says_none(tmp_path: Path) -> None:
    plot_pairs(tmp_path / "none.png", [], FILES.__getitem__, "pairs")
    assert image_size(tmp_path / "none.png") == (720, 144)


def test_plot_before_after_images_of_different_sizes_are_drawn(tmp_path: Path) -> None:
    pairs = [(head(n), head(n)[:48, :48], "glioma") for n in range(4)]
    plot_before_after(tmp_path / "sheet.png", pairs, "quickstart")
    assert (tmp_path / "sheet.png").stat().st_size > 5000


def test_join_views_outlines_the_tumor_in_each_view() -> None:
    image, mask = head(1, 32)[:, :32], np.zeros((32, 32), np.uint8)
    mask[8:16, 8:16] = 255
    views = join_views(image, mask, [np.zeros((32, 32), np.float32)])
    outline = (views == OUTLINE_COLOR).all(axis=2)
    for left in (0, views.shape[1] - 32):
        assert outline[8, left + 8 : left + 16].all()
        assert not outline[9:15, left + 9 : left + 15].any()
        assert outline[:, left : left + 32].sum() == 4 * 7
    assert views.dtype == np.uint8


def test_join_views_without_mask_is_the_image() -> None:
    image = head(1, 32)[:, :32]
    assert (join_views(image, None) == image[:, :, None]).all()


def test_overlay_cold_regions_keep_the_image() -> None:
    image, heat = head(1, 32)[:, :32], np.zeros((32, 32), np.float32)
    heat[:8, :8] = 1
    colored = overlay(image, heat)
    assert colored.shape == (32, 32, 3)
    assert colored.dtype == np.uint8
    assert (colored[heat == 0] == image[heat == 0][:, None]).all()
    assert (colored[heat == 1] != image[heat == 1][:, None]).any(axis=1).all()
