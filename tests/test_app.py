"""The app, by its functions and by the real client over loopback."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests
import torch
from gradio_client import Client, handle_file
from heads import head
from nets import card
from PIL import Image
from project import ROOT

import app
from brain_tumor.calibration import Calibration
from brain_tumor.classifier import Classifier, save
from brain_tumor.errors import UserError
from brain_tumor.prediction import GENERATED, Prediction
from brain_tumor.viewing import NOT_CLINICAL, badge, message, picture, verdict


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with two trained models, one of them with test images and a model card."""
    root = tmp_path_factory.mktemp("app")
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name, generated in (("quickstart", True), ("real", False)):
        torch.manual_seed(0)
        known = {"calibration": Calibration(least={"0.9": 0.2}), "generated_data": generated}
        about = card().model_copy(update=known)
        (root / "models" / name).mkdir(parents=True)
        save(root / "models" / name, Classifier(about).eval(), about)
    for folder in ("data/enhanced/quickstart", "plots/quickstart", "reports/quickstart"):
        (root / folder).mkdir(parents=True)
    np.save(root / "data/enhanced/quickstart/images.npy", np.stack([head(n, 32)[:, :32] for n in range(6)]))
    table = pd.DataFrame({"row": range(6), "label": list("aabbab")})
    table.to_csv(root / "plots/quickstart/predictions.csv", index=False)
    (root / "reports/quickstart/model_card.md").write_text("---\nlicense: x\n---\n\n# quickstart\n\nThe card.\n")
    return root


def test_recipes_examples_and_cards_are_found(root: Path, tmp_path: Path) -> None:
    assert app.recipes(root) == ["quickstart", "real"]
    assert app.examples("quickstart", root) == {
        "a, test image 1": 0, "a, test image 2": 1, "b, test image 1": 2, "b, test image 2": 3,
    }  # fmt: skip
    assert app.examples("real", root) == {}
    assert app.card_text("quickstart", root).strip() == "# quickstart\n\nThe card."
    assert "dvc repro stages/dvc.yaml:report@real" in app.card_text("real", root)
    with pytest.raises(UserError, match="no trained model"):
        app.recipes(tmp_path)


def test_a_model_is_loaded_once(root: Path) -> None:
    assert app.opened("real", root) is app.opened("real", root)


def test_an_upload_is_read_and_removed_whatever_it_is(root: Path, tmp_path: Path) -> None:
    good, bad = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray(head(1)).save(good)
    bad.write_bytes(b"hello")
    scan = app.read_upload(str(good), "axial")
    assert isinstance(scan, app.Scan)
    assert (len(scan.images), scan.names) == (1, ["a.png"])
    assert str(app.read_upload(str(bad), "axial")).startswith("b.png cannot be read: not an image file")
    assert not list(tmp_path.glob("*.png"))
    view = app.look(scan, 0, "quickstart", "grad-cam", root)
    assert view.heat.shape == view.image.shape == (32, 32)
    assert sum(view.probabilities.values()) == pytest.approx(1, abs=1e-3)
    assert app.look(scan, 0, "quickstart", None, root).heat is None


def test_what_is_shown_is_escaped_and_says_what_it_is_not() -> None:
    shown = picture(np.zeros((4, 4), np.uint8), np.ones((4, 4), np.float32), 0.5, "<script>alert(1)</script>")
    assert "<script>" not in shown
    assert "high relevance" in shown
    assert "high relevance" not in picture(np.zeros((4, 4), np.uint8), None, 0.5, "x")
    strange = verdict(Prediction("f", "<b>x", {"<b>x": 0.7}, ("<b>x",), ("<i>odd",)))
    assert "<b>x" not in strange
    assert "<i>odd" not in strange
    assert "70% certain" in strange
    assert "<img" not in message("cannot be read: <img src=https://example.org/x>")
    assert NOT_CLINICAL in badge(False)
    assert GENERATED in badge(True)
    assert GENERATED not in badge(False)


@pytest.fixture(scope="module")
def served(root: Path) -> Iterator[tuple[str, Path]]:
    """The app as a user starts it; where it is, and its folder for temporary files."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    temporary = root / "tmp"
    temporary.mkdir()
    # What would go anywhere else meets a closed door.
    proxy = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "no_proxy": "127.0.0.1"}
    env = {**os.environ, "TMPDIR": str(temporary), "THREADS": "1"} | proxy
    process = subprocess.Popen(
        [sys.executable, "src/app.py", "--port", str(port)], cwd=root, env=env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    until = time.monotonic() + 90
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                break
        time.sleep(0.2)
    assert process.poll() is None, process.communicate()[0]
    yield f"http://127.0.0.1:{port}", temporary
    process.terminate()
    process.wait(30)
    assert not list(temporary.iterdir()), "nothing stays on the disk"


def test_the_client_uploads_and_sees_what_the_page_shows(served: tuple[str, Path], tmp_path: Path) -> None:
    address, temporary = served
    Image.fromarray(head(3)).save(tmp_path / "scan.png")
    client = Client(address, verbose=False)
    client.predict(handle_file(tmp_path / "scan.png"), "axial", api_name="/uploaded")
    shown, words, label = client.predict(1, "quickstart", "Grad-CAM", 0.6, api_name="/looked")
    assert "data:image/png;base64," in shown
    assert "scan.png" in shown
    assert "certain" in words
    assert {each["label"] for each in label["confidences"]} == {"a", "b", "c"}
    client.predict("quickstart", "a, test image 1", api_name="/exemplified")
    assert "example: a, test image 1" in client.predict(1, "quickstart", "no heat map", 0.6, api_name="/looked")[0]
    note, card_text, *_ = client.predict("real", api_name="/of_model")
    assert GENERATED not in note
    assert NOT_CLINICAL in note
    assert "writes it" in card_text
    (tmp_path / "bad.png").write_bytes(b"hello")
    client.predict(handle_file(tmp_path / "bad.png"), "axial", api_name="/uploaded")
    shown, words, label = client.predict(1, "quickstart", "Grad-CAM", 0.6, api_name="/looked")
    assert "bad.png cannot be read: not an image file" in shown
    assert (words, label) == ("", {}), "nothing of the image before is left"
    assert not [file for file in temporary.rglob("*") if file.is_file() and file.stat().st_size], "uploads are gone"


def test_the_page_connects_to_nothing_else_and_listens_on_loopback(served: tuple[str, Path]) -> None:
    page = requests.get(served[0], timeout=20).text
    assert "brain-tumor-mri" in page
    loaded = re.findall(r"""(?:src|href)=["'](https?://[^"']+)""", page)
    assert [each for each in loaded if "127.0.0.1" not in each] == []
    port = int(served[0].rsplit(":", 1)[1])
    with socket.socket() as probe:
        probe.settimeout(2)
        own = next((a[4][0] for a in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)), "127.0.0.1")
        if not str(own).startswith("127."):
            assert probe.connect_ex((str(own), port)) != 0, "other machines are not served"


def test_what_was_cut_is_swept_and_what_is_new_stays(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("old", "new"):
        (tmp_path / "folder" / name).write_bytes(b"pixels")
    long_ago = time.time() - 2 * app.STALE
    os.utime(tmp_path / "folder/old", (long_ago, long_ago))
    app.sweep(tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["new"]
