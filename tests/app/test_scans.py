"""Models, uploads and test images of the app."""

import os
import time
from pathlib import Path

import pytest
from PIL import Image

from app_folder import write_app_folder
from brain_tumor.app import scans
from brain_tumor.core.errors import UserError
from heads import head


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_app_folder(tmp_path_factory.mktemp("app"))


def test_list_recipes_has_examples_and_model_card_of_folder(root: Path, tmp_path: Path) -> None:
    assert scans.list_recipes(root) == ["quickstart", "real"]
    assert scans.list_examples("quickstart", root) == {
        "a, test image 1": 0, "a, test image 2": 1, "b, test image 1": 2, "b, test image 2": 3,
    }  # fmt: skip
    assert scans.list_examples("real", root) == {}
    assert scans.read_model_card("quickstart", root).strip() == "# quickstart\n\nThe card."
    assert "dvc repro stages/dvc.yaml:report@real" in scans.read_model_card("real", root)
    with pytest.raises(UserError, match="no trained model"):
        scans.list_recipes(tmp_path)


def test_load_model_second_call_returns_the_same_model(root: Path) -> None:
    assert scans.load_model("real", root) is scans.load_model("real", root)


def test_read_upload_removes_the_file_even_if_it_is_unreadable(tmp_path: Path) -> None:
    good, bad = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray(head(1)).save(good)
    bad.write_bytes(b"hello")
    scan = scans.read_upload(str(good), "axial")
    assert isinstance(scan, scans.Scan)
    assert (len(scan.images), scan.names) == (1, ["a.png"])
    assert str(scans.read_upload(str(bad), "axial")).startswith("b.png cannot be read: not an image file")
    assert not list(tmp_path.glob("*.png"))


def test_predict_and_explain_heat_map_has_the_size_of_the_image(root: Path) -> None:
    scan = scans.Scan([head(1)], ["a.png"])
    view = scans.predict_and_explain(scan, 0, "quickstart", "grad-cam", root)
    assert view.heat is not None
    assert view.heat.shape == view.image.shape == (32, 32)
    assert sum(view.probabilities.values()) == pytest.approx(1, abs=1e-3)
    assert scans.predict_and_explain(scan, 0, "quickstart", None, root).heat is None


def test_predict_and_explain_test_image_is_not_preprocessed_again(root: Path) -> None:
    scan = scans.read_example("quickstart", "b, test image 1", root)
    view = scans.predict_and_explain(scan, 0, "quickstart", None, root)
    assert (view.image == scan.images[0]).all()
    assert "does not look like" not in view.prediction


def test_remove_stale_uploads_keeps_new_ones(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("old", "new"):
        (tmp_path / "folder" / name).write_bytes(b"pixels")
    old = time.time() - 2 * scans.UPLOAD_TTL_SECONDS
    os.utime(tmp_path / "folder/old", (old, old))
    scans.remove_stale_uploads(tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["new"]
