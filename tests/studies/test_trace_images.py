"""Tracing images to the slices of a reference set, on altered copies whose origin is known."""

import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from brain_tumor.audit.audit import audit_images
from brain_tumor.audit.patients import read_patients
from brain_tumor.audit.transforms import TRANSFORMS, apply_transform
from brain_tumor.core.outputs import write_csv
from brain_tumor.core.types import Gray
from brain_tumor.datasets.masks import add_masks
from brain_tumor.datasets.raw_archive import RawArchive, RawImage, write_archive
from brain_tumor.imaging.decode import decode_gray
from brain_tumor.studies.provenance import correlate, make_patients, trace_images, transfer_masks, write_masks
from brain_tumor.studies.shared_images import MultiArchiveReader, read_joint_index
from heads import head, png

NUM_SLICES = 8


def slice_mask(number: int) -> Gray:
    mask = np.zeros(head(number).shape, np.uint8)
    mask[20 + number : 40 + number, 30:55] = 255
    return mask


def resize(image: Gray, factor: float, interpolation: int = cv2.INTER_AREA) -> Gray:
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=interpolation), np.uint8)


def jpeg(image: Gray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two archives: slice k of the reference is of patient k // 2; target image `k.png` is slice k with transform k."""
    folder = tmp_path_factory.mktemp("provenance")
    slices = [
        RawImage(f"glioma/{k}.png", png(head(k)), "glioma", patient=f"p{k // 2}", fold=str(k // 2 % 2 + 1),
                 mask=png(slice_mask(k)) if k != 1 else None)
        for k in range(NUM_SLICES)
    ]  # fmt: skip
    images = [
        RawImage(f"a/{k}.jpg", jpeg(resize(apply_transform(head(k), k), 1.5)), "tumor") for k in range(NUM_SLICES)
    ]
    images += [
        RawImage("a/equal.png", png(head(3), level=1), "tumor"),
        RawImage("a/again.png", png(head(3), level=1), "tumor"),
        RawImage("a/cropped.jpg", jpeg(head(5)[6:-6, 10:-10]), "tumor"),
        RawImage("a/other.png", png(head(99)), "tumor"),
    ]
    write_archive(folder / "cheng.zip", slices)
    write_archive(folder / "mine.zip", images)
    return folder


@pytest.fixture(scope="module")
def table(folder: Path) -> pd.DataFrame:
    return audit_images(read_joint_index(folder, ["mine", "cheng"]), MultiArchiveReader(folder), "test")[0]


@pytest.fixture(scope="module")
def evidence(folder: Path) -> pd.DataFrame:
    table, links = audit_images(read_joint_index(folder, ["mine", "cheng"]), MultiArchiveReader(folder), "test")
    return trace_images(table, links, "mine", "cheng")


def test_trace_images_finds_slice_and_transform_of_each_copy(evidence: pd.DataFrame) -> None:
    found = evidence.set_index("path")
    assert "mine/a/other.png" not in found.index
    for k in range(NUM_SLICES):
        row = found.loc[f"mine/a/{k}.jpg"]
        assert (row["reference"], row["transform"]) == (f"cheng/glioma/{k}.png", TRANSFORMS[k])
        assert row["correlation"] > 0.95
    for name in ("equal", "again"):
        row = found.loc[f"mine/a/{name}.png"]
        assert tuple(row) == ("cheng/glioma/3.png", "none", 1.0)
    assert found.index.is_unique


def test_make_patients_is_a_table_that_the_audit_reads(
    evidence: pd.DataFrame, table: pd.DataFrame, folder: Path, tmp_path: Path
) -> None:
    patients = make_patients(evidence, table, "Cheng")
    write_csv(tmp_path / "patients.csv", patients)
    pd.testing.assert_frame_equal(read_patients(str(tmp_path / "patients.csv")), patients, check_dtype=False)
    with RawArchive(folder / "mine.zip") as raw:
        hashes = raw.index.set_index("path")["sha256"]
    rows = patients.set_index("sha256")
    assert len(rows) == hashes.loc[[path.removeprefix("mine/") for path in evidence["path"]]].nunique()
    row = rows.loc[hashes["a/6.jpg"]]
    assert tuple(row[["patient", "fold", "slice", "transform", "label"]]) == ("p3", "2", "6", TRANSFORMS[6], "glioma")


def test_transfer_masks_are_in_the_geometry_of_the_images(evidence: pd.DataFrame, folder: Path, tmp_path: Path) -> None:
    reader = MultiArchiveReader(folder)
    masks = pd.Series({f"cheng/glioma/{k}.png": f"cheng/masks/glioma/{k}.png" if k != 1 else "" for k in range(8)})
    counts = write_masks(tmp_path / "masks.zip", transfer_masks(evidence, masks, reader))
    cropped = int((evidence["path"] == "mine/a/cropped.jpg").sum())
    assert counts == {"masks": 9, "masks_not_aligned": cropped}
    with zipfile.ZipFile(tmp_path / "masks.zip") as archive:
        assert "a/1.png" not in archive.namelist(), "its slice has no mask"
        for k in (0, 2, 3, 4, 5, 6, 7):
            expected = resize(apply_transform(slice_mask(k), k), 1.5, cv2.INTER_NEAREST) > 0
            found = decode_gray(archive.read(f"a/{k}.png")) > 0
            assert found.shape == expected.shape
            assert (found & expected).sum() / (found | expected).sum() > 0.9


def test_transferred_masks_fit_the_data_set(
    evidence: pd.DataFrame, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = MultiArchiveReader(folder)
    masks = pd.Series({f"cheng/glioma/{k}.png": f"cheng/masks/glioma/{k}.png" if k != 1 else "" for k in range(8)})
    write_masks(tmp_path / "masks.zip", transfer_masks(evidence, masks, reader))
    monkeypatch.setenv("DATA_ARCHIVES", str(tmp_path))
    with RawArchive(folder / "mine.zip") as raw:
        images = [RawImage(path, raw.read(path), "tumor") for path in raw.index["path"]]
    assert sum(image.mask is not None for image in add_masks(images, "masks.zip")) == 9


def test_correlate_of_constant_or_shifted_images() -> None:
    image = head(0)
    assert correlate(image, image) == pytest.approx(1.0)
    assert correlate(image, np.zeros_like(image)) == 0.0
    assert correlate(image, np.roll(image, 30, 1)) < 0.6
