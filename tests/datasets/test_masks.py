"""Masks from an archive of the user."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.masks import add_masks
from brain_tumor.datasets.raw_archive import RawImage
from heads import head, png

IMAGES = [RawImage(f"Training/glioma/{name}.jpg", png(head(k, 32)), "glioma") for k, name in enumerate(("a", "b.1"))]
MASK = np.zeros((32, 40), np.uint8)
MASK[4:9, 5:12] = 255


@pytest.fixture(autouse=True)
def archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DATA_ARCHIVES", str(tmp_path))
    return tmp_path


def write(folder: Path, masks: dict[str, bytes]) -> None:
    with zipfile.ZipFile(folder / "masks.zip", "w") as archive:
        for name, content in masks.items():
            archive.writestr(name, content)


def test_add_masks_by_path_without_suffix(archives: Path, caplog: pytest.LogCaptureFixture) -> None:
    masks = {"Training/glioma/b.1.png": png(MASK), "Testing/glioma/a.png": png(MASK)}
    write(archives, masks)
    with caplog.at_level("INFO"):
        images = list(add_masks(IMAGES, "masks.zip"))
    assert [image.mask for image in images] == [None, masks["Training/glioma/b.1.png"]]
    assert [image._replace(mask=None) for image in images] == IMAGES
    assert "masks of 1 images" in caplog.text
    assert "1 masks fit no image (Testing/glioma/a.png" in caplog.text


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"Training/glioma/a.png": png(MASK[:30])}, "different sizes: 40×30 and 40×32"),
        ({"Training/glioma/a.png": b"no image"}, "cannot be read"),
        ({"glioma/a.png": png(MASK)}, "has no mask of these images"),
    ],
)
def test_add_masks_bad_mask_raises_user_error(masks: dict[str, bytes], message: str, archives: Path) -> None:
    write(archives, masks)
    with pytest.raises(UserError, match=message):
        list(add_masks(IMAGES, "masks.zip"))


def test_add_masks_missing_archive_or_second_mask_raises_user_error(archives: Path) -> None:
    with pytest.raises(UserError, match="set `masks` to ''"):
        list(add_masks(IMAGES, "masks.zip"))
    write(archives, {"Training/glioma/a.png": png(MASK)})
    with pytest.raises(UserError, match="has a mask in its source"):
        list(add_masks([IMAGES[0]._replace(mask=b"mask")], "masks.zip"))
    with pytest.raises(UserError, match="fits two images"):
        list(add_masks([IMAGES[0], IMAGES[0]._replace(path="Training/glioma/a.png")], "masks.zip"))
