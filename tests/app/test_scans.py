"""Slices of uploads and test images: names, predictions, checks and heat maps."""

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from app_folder import write_app_folder
from brain_tumor.app import scans
from brain_tumor.inference.predictor import UNLIKE_TRAINING, open_model, predict_files
from heads import head
from model_folders import write_model_folders


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_app_folder(tmp_path_factory.mktemp("app"))


def one_image(name: str, seed: int) -> scans.Scan:
    return scans.Scan(name, {"": [("", head(seed))]})


def test_open_upload_removes_the_file_even_if_it_is_unreadable(tmp_path: Path) -> None:
    good, bad = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray(head(1)).save(good)
    bad.write_bytes(b"hello")
    scan = scans.open_upload(str(good))
    assert isinstance(scan, scans.Scan)
    assert (scan.name, scan.planes, scan.describe("axial", 1)) == ("a.png", [], "a.png")
    assert str(scans.open_upload(str(bad))).startswith("b.png cannot be read: not an image file")
    assert scans.open_upload(None) is None
    assert not list(tmp_path.glob("*.png"))


def test_open_upload_volume_has_slices_of_each_plane_with_one_numbering(tmp_path: Path) -> None:
    volume = np.stack([head(3, 48)] * 60, -1).astype(np.float32)
    nibabel.Nifti1Image(volume, np.eye(4)).to_filename(tmp_path / "v.nii.gz")
    scan = scans.open_upload(str(tmp_path / "v.nii.gz"))
    assert isinstance(scan, scans.Scan)
    assert scan.planes == list(scans.DIRECTIONS) == ["axial", "coronal", "sagittal"]
    for plane in scan.planes:
        positions = [position for position, _ in scan.slices(plane)]
        assert positions == sorted(positions), "numbers grow with the position in the file"
        assert scan.describe(plane, 2) == f"v.nii.gz, {plane} slice 2 of {len(positions)} ({positions[1]} in the file)"
    assert scan.slices("axial")[0][1].shape != scan.slices("coronal")[0][1].shape


def test_predict_and_explain_heat_map_has_the_size_of_the_image(root: Path) -> None:
    view = scans.predict_and_explain(one_image("a.png", 1), "axial", 1, "quickstart", "grad-cam", root)
    assert view.heat is not None
    assert view.heat.shape == view.image.shape == (32, 32)
    assert sum(view.prediction.probabilities.values()) == pytest.approx(1, abs=1e-3)
    assert scans.predict_and_explain(one_image("a.png", 1), "axial", 1, "quickstart", None, root).heat is None


def test_predict_and_explain_test_image_is_not_preprocessed_again(root: Path) -> None:
    scan = scans.open_example("quickstart", "b, test image 1", root)
    view = scans.predict_and_explain(scan, "axial", 1, "quickstart", None, root)
    assert (view.image == scan.slices("")[0][1]).all()
    assert view.prediction.accepted


def test_predict_and_explain_rejects_what_the_export_rejects(tmp_path: Path) -> None:
    folders = write_model_folders(tmp_path / "made")
    shutil.copytree(folders[0], tmp_path / "models/m")
    shutil.copytree(folders[1], tmp_path / "exports/m")
    noise = np.random.default_rng(0).integers(0, 255, (96, 96), dtype=np.uint8)
    for gray, accepted in ((head(2), True), (head(2) // 2 + 128, False), (noise, False)):
        Image.fromarray(gray).save(tmp_path / "x.png")
        scan = scans.Scan("x.png", {"": [("", gray)]}, warnings=("the header states the modality CT, not MR",))
        view = scans.predict_and_explain(scan, "axial", 1, "m", "grad-cam", tmp_path)
        expected = next(predict_files([tmp_path / "x.png"], open_model(tmp_path / "exports/m")))[1]
        assert (view.prediction.accepted, expected.accepted) == (accepted, accepted)
        assert view.prediction.reasons == expected.reasons
        assert (view.heat is None) != accepted, "a rejected image has no heat map"
        assert view.prediction.warnings[0] == "the header states the modality CT, not MR"
    assert UNLIKE_TRAINING in view.prediction.reasons
