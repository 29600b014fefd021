"""The stages `preprocess` and `plot_preprocess` on a small raw archive."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import plot_preprocess
import preprocess
from brain_tumor.core.errors import UserError
from brain_tumor.core.tables import read_table
from brain_tumor.datasets import raw_archive
from brain_tumor.datasets.raw_archive import RawImage, write_archive
from brain_tumor.plotting.contact_sheets import plot_before_after
from heads import head, png

SIZE = 32


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the recipe `small`; the stages run in it."""
    params: dict[str, Any] = {"dataset": "mine", "classes": ["a", "b"]}
    params["preprocess"] = {"operations": [{"op": "resize", "size": SIZE, "mode": "stretch"}]}
    (tmp_path / "params.yaml").write_text(json.dumps({"recipes": {"small": params}}))  # JSON is YAML
    (tmp_path / "data/raw").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORKERS", "1")
    raw_archive._open_zip.cache_clear()  # open archives are cached by their relative path
    return tmp_path


def write(*images: RawImage) -> None:
    write_archive(Path("data/raw/mine.zip"), images)


def load(name: str) -> Any:
    return np.load(f"data/enhanced/small/{name}.npy")


def test_preprocess_rows_are_those_of_the_classes_sorted_by_content() -> None:
    write(*(RawImage(f"{n}.png", png(head(n)), "abc"[n % 3]) for n in range(9)))
    preprocess.main("small")
    rows = read_table("data/enhanced/small/rows.csv", numbers=["row"])
    assert rows["row"].tolist() == list(range(6))
    assert sorted(rows["path"]) == ["0.png", "1.png", "3.png", "4.png", "6.png", "7.png"]
    assert rows["sha256"].is_monotonic_increasing
    images = load("images")
    assert images.shape == (6, SIZE, SIZE)
    assert images.dtype == np.uint8
    size = (SIZE, SIZE)
    for path, image in zip(rows["path"], images, strict=True):
        expected = Image.fromarray(head(int(path[0]))).resize(size, Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(image, np.asarray(expected))
    assert sorted(path.name for path in Path("data/enhanced/small").iterdir()) == ["images.npy", "rows.csv"]
    assert not Path("plots").exists()


def test_preprocess_masks_come_from_mask_files_or_boxes() -> None:
    blank = np.zeros((64, 64), np.uint8)
    mask = blank.copy()
    mask[:32] = 255
    write(
        RawImage("mask.png", png(blank), "a", mask=png(mask), box="0 0 1 1"),
        RawImage("box.png", png(blank + 1), "a", box="0 0 64 16;32 0 32 64"),
        RawImage("none.png", png(blank + 2), "b"),
    )
    preprocess.main("small")
    paths, masks = read_table("data/enhanced/small/rows.csv")["path"], load("masks")
    area = {path: float((mask == 255).mean()) for path, mask in zip(paths, masks, strict=True)}
    assert area == {"mask.png": 0.5, "box.png": 0.625, "none.png": 0.0}
    assert set(np.unique(masks)) == {0, 255}


def test_preprocess_unreadable_images_are_all_named() -> None:
    write(
        RawImage("1.png", png(head(1)), "a"),
        RawImage("2.png", b"not an image", "a"),
        RawImage("3.png", png(head(3)), "b", mask=b""),
    )
    with pytest.raises(UserError, match="images of mine cannot be read; repair or remove them") as caught:
        preprocess.main("small")
    assert "2.png: not an image file" in str(caught.value)
    assert "3.png: an empty file" in str(caught.value)
    assert list(Path("data/enhanced").iterdir()) == []


def test_preprocess_unknown_class_is_named() -> None:
    write(RawImage("1.png", png(head(1)), "a"))
    with pytest.raises(UserError, match=r"recipes.small.classes names \['b'\], which mine does not have"):
        preprocess.main("small")


@pytest.mark.parametrize("count", [1, 30])
def test_plot_preprocess_at_most_12_images_are_drawn(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, ...]] = []

    def record(*args: Any) -> None:
        calls.append(args)
        plot_before_after(*args)

    monkeypatch.setattr(plot_preprocess, "plot_before_after", record)
    images = (RawImage(f"{n}.png", png(head(n)), "ab"[n % 2]) for n in range(count))
    write(*images, RawImage("99.png", png(head(99)), "b"))
    preprocess.main("small")
    plot_preprocess.main("small")
    ((_, samples, title),) = calls
    assert title == "small: before and after preprocessing"
    rows, enhanced = read_table("data/enhanced/small/rows.csv"), load("images")
    assert len(samples) == min(12, count + 1)
    selected = np.linspace(0, count, len(samples)).astype(int)
    for i, (before, after, label) in zip(selected, samples, strict=True):
        number = rows["path"][i].removesuffix(".png")
        np.testing.assert_array_equal(before, head(int(number)))
        np.testing.assert_array_equal(after, enhanced[i])
        assert label == rows["label"][i]
    with Image.open("plots/small/preprocess.png") as sheet:
        assert sheet.size[0] > 300
