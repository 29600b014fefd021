"""Masks from an archive of the user."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.masks import add_masks
from brain_tumor.datasets.raw_archive import RawImage
from heads import head, png
from tar_files import make_tar

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


@pytest.mark.parametrize("mask", ["g/a\u0308.png", "g/\u00e4 .png", "g /\u00e4.tif"])
def test_add_masks_names_are_compared_normalized(mask: str, archives: Path) -> None:
    write(archives, {mask: png(MASK)})
    (image,) = add_masks([IMAGES[0]._replace(path="g/\u00e4.png")], "masks.zip")
    assert image.mask == png(MASK)


def test_add_masks_two_masks_of_one_image_are_an_error(archives: Path) -> None:
    write(archives, {"Training/glioma/a.png": png(MASK), "Training/glioma/a.bmp": png(MASK)})
    with pytest.raises(UserError, match=r"a.bmp and Training/glioma/a.png are both masks of Training/glioma/a.jpg"):
        list(add_masks(IMAGES, "masks.zip"))
    write(archives, {"Training/glioma/a.png": png(MASK), "Training/glioma/a.txt": b"notes", "x.png": b"", "x.bmp": b""})
    assert [image.mask is not None for image in add_masks(IMAGES, "masks.zip")] == [True, False]


def test_add_masks_tar_archive_is_read_whatever_its_name(archives: Path) -> None:
    (archives / "masks.zip").write_bytes(make_tar({"Training/glioma/a.png": png(MASK)}, "gz"))
    assert [image.mask is not None for image in add_masks(IMAGES, "masks.zip", archives)] == [True, False]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is a folder, not an archive: pack what is in it as .zip or .tar.gz, and name that file"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(600), "is a 7z archive, not a zip or tar archive: unpack it, and pack"),
        (png(MASK), "is an image, not a zip or tar archive: pack all masks as .zip or .tar.gz"),
        (b"PK\x03\x04" + bytes(99), "cannot be read as a zip archive .*: copy it again"),
    ],
)
def test_add_masks_other_content_error_says_what_to_do(content: bytes | None, message: str, archives: Path) -> None:
    path = archives / "masks.zip"
    path.mkdir() if content is None else path.write_bytes(content)
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
