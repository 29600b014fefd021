"""Every image format by way of every kind of source: gray values computed here, without the readers."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.core.types import Gray
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.imaging.decode import decode_gray
from brain_tumor.inference.files import find_files, read_images
from brain_tumor.sources import archive, folder, kaggle
from clinical_files import make_dicom, make_enhanced, make_itk, make_nifti

VALUES = np.add.outer(np.arange(40), 5 * np.arange(50)).astype(np.int64)  # 0 to 284, no two rows alike
LAYOUT = {"path": "{label}/{file}", "labels": {"a": "a"}}


def encode(values: NDArray[Any], kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind, **options)
    return buffer.getvalue()


def by_data(values: NDArray[Any]) -> Gray:
    low, high = np.percentile(values, (0.5, 99.8))
    levels: Gray = np.rint(255 * (values.clip(low, high) - low) / (high - low)).astype(np.uint8)
    return levels


def window(values: NDArray[Any]) -> Gray:
    """The window of DICOM PS3.3, C.11.2.1.2.1, with center 200 and width 400."""
    levels: Gray = np.rint(255 * np.clip((values - (200 - 0.5)) / 399 + 0.5, 0, 1)).astype(np.uint8)
    return levels


EIGHT = (VALUES * 0.89).astype(np.uint8)
VOLUME = np.stack([VALUES + 100] * 3, 2).astype(np.int16)
VOLUME_SLICE = by_data(VOLUME)[:, :, 1].T[::-1, ::-1]
WINDOWED = window(2.0 * VALUES - 100)
# Name of the file: its content, and the images that it must give.
FILES: dict[str, tuple[bytes, list[Gray]]] = {
    "eight.png": (encode(EIGHT, "PNG"), [EIGHT]),
    "eight.bmp": (encode(EIGHT, "BMP"), [EIGHT]),
    "eight.gif": (encode(EIGHT, "GIF"), [EIGHT]),
    "eight.tif": (encode(EIGHT, "TIFF"), [EIGHT]),
    "eight.webp": (encode(EIGHT, "WEBP", lossless=True), [EIGHT]),
    "eight.jp2": (encode(EIGHT, "JPEG2000"), [EIGHT]),
    "no_suffix": (encode(EIGHT, "PNG"), [EIGHT]),
    "color.png": (encode(np.stack([EIGHT] * 3, 2), "PNG"), [EIGHT]),
    "bit.png": (encode(VALUES > 99, "PNG"), [np.where(VALUES > 99, 255, 0).astype(np.uint8)]),
    "twelve.png": (encode((14 * VALUES).astype(np.uint16), "PNG"), [by_data(14 * VALUES)]),
    "twelve.tif": (encode((14 * VALUES).astype(np.uint16), "TIFF"), [by_data(14 * VALUES)]),
    "sixteen.png": (encode((230 * VALUES).astype(np.uint16), "PNG"), [(230 * VALUES >> 8).astype(np.uint8)]),
    "signed.tif": (encode((VALUES - 90).astype(np.int32), "TIFF"), [by_data(VALUES - 90)]),
    "float.tif": (encode((VALUES / 7).astype(np.float32), "TIFF"), [by_data(VALUES)]),
    "pages.tif": (
        encode(EIGHT, "TIFF", save_all=True, append_images=[Image.fromarray(EIGHT[::-1])]), [EIGHT, EIGHT[::-1]],
    ),
    "plain.dcm": (make_dicom(VALUES.astype(np.uint16)), [by_data(VALUES)]),
    "signed.dcm": (make_dicom((VALUES - 90).astype(np.int16)), [by_data(VALUES - 90)]),
    "IM0001": (
        make_dicom(VALUES.astype(np.uint16), RescaleSlope=2, RescaleIntercept=-100, WindowCenter=200, WindowWidth=400),
        [WINDOWED],
    ),
    "zipped.dcm.gz": (gzip.compress(make_dicom(VALUES.astype(np.uint16))), [by_data(VALUES)]),
    "volume.nii": (make_nifti(VOLUME), [VOLUME_SLICE] * 3),
    "volume2.nii.gz": (make_nifti(VOLUME.astype(np.float32), compress=True), [VOLUME_SLICE] * 3),
}  # fmt: skip
SPACING = (1.0, 1.0, 1.0)
FILES |= {
    "enhanced.dcm": (
        make_enhanced(
            np.stack([VALUES, VALUES]).astype(np.uint16),
            [{"RescaleSlope": 2, "RescaleIntercept": -100}, {"RescaleSlope": 4, "RescaleIntercept": -300}],
            {"WindowCenter": 200, "WindowWidth": 400},
        ),
        [WINDOWED, window(4.0 * VALUES - 300)],
    ),
    "volume.mha": (make_itk(VOLUME, ".mha", SPACING), [VOLUME_SLICE] * 3),
    "volume.nrrd": (make_itk(VOLUME, ".nrrd", SPACING), [VOLUME_SLICE] * 3),
}
OTHERS = {"Thumbs.db": b"x", "labels.txt": b"eight.png 1\n", "empty": b"", "._eight.png": b"macOS"}


def write_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in contents():
            file.writestr(name, content)


def write_tar(path: Path) -> None:
    with tarfile.open(path, "w:gz") as file:
        for name, content in contents():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))


def write_folder(path: Path) -> None:
    for name, content in contents():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)


def contents() -> Iterator[tuple[str, bytes]]:
    yield from ((f"a/{name}", content) for name, (content, _) in FILES.items())
    yield from ((f"a/{name}", content) for name, content in OTHERS.items())


SOURCES: dict[str, tuple[Any, dict[str, Any], str, Callable[[Path], None]]] = {
    "zip": (archive, {"kind": "archive", "file": "mine.zip"}, "mine.zip", write_zip),
    "tar.gz": (archive, {"kind": "archive", "file": "mine.tar.gz"}, "mine.tar.gz", write_tar),
    "folder": (folder, {"kind": "folder", "path": "mine"}, "mine", write_folder),
    "kaggle": (kaggle, {"kind": "kaggle", "handle": "x/mine", "version": 1}, "mine.zip", write_zip),
}


@pytest.fixture(scope="module", params=SOURCES)
def read(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[RawImage], list[str]]:
    """The images of a source of one kind, and the paths that it leaves out."""
    module, block, name, write = SOURCES[request.param]
    path, skipped = tmp_path_factory.mktemp("source"), SkippedFiles()
    write(path / name)
    source = module.Source.model_validate(block | {"layout": LAYOUT})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATA_ARCHIVES", str(path))
        images = list(module.images(source, path / "scratch", skipped))
    return images, skipped.table()["path"].tolist()


@pytest.mark.parametrize("name", FILES)
def test_source_gray_values_are_those_of_the_format(name: str, read: tuple[list[RawImage], list[str]]) -> None:
    images = [image for image in read[0] if image.path == f"a/{name}" or image.path.startswith(f"a/{name}.")]
    expected = FILES[name][1]
    assert len(images) == len(expected)
    for image, values in zip(images, expected, strict=True):
        gray = decode_gray(image.content)
        assert gray.shape == values.shape
        assert np.abs(gray.astype(int) - values).max() <= 1  # of rounding


def test_source_files_are_images_or_left_out(read: tuple[list[RawImage], list[str]]) -> None:
    assert len(read[0]) == sum(len(expected) for _, expected in FILES.values())
    assert sorted(read[1]) == sorted(f"a/{name}" for name in OTHERS)


def test_predict_reads_the_same_images(tmp_path: Path) -> None:
    write_folder(tmp_path)
    paths, skipped = find_files([tmp_path])
    assert sorted(path.name for path, _ in skipped) == sorted(OTHERS)
    assert sorted(path.name for path in paths) == sorted(FILES)
    for path in paths:
        images = read_images(path, "axial", 5)
        for image, values in zip(images, FILES[path.name][1], strict=True):
            assert image.gray is not None
            assert image.gray.shape == values.shape
            assert np.abs(image.gray.astype(int) - values).max() <= 1
