"""The app as users start it: by the real client over loopback."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from gradio_client import Client, handle_file
from PIL import Image

from app_folder import write_app_folder
from brain_tumor.app.html import NOT_CLINICAL
from brain_tumor.inference.predictor import GENERATED
from heads import head
from project import ROOT

START_SECONDS = 90


@pytest.fixture(scope="module")
def app_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The app as a user starts it: its address, and its folder for temporary files."""
    root = write_app_folder(tmp_path_factory.mktemp("app"))
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    temporary = root / "tmp"
    temporary.mkdir()
    # Connections to other hosts go to a closed port.
    proxy = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "no_proxy": "127.0.0.1"}
    env = {**os.environ, "TMPDIR": str(temporary), "THREADS": "1", "PYTHONPATH": str(root / "src")} | proxy
    process = subprocess.Popen(
        [sys.executable, "-m", "brain_tumor.commands.main", "app", "--port", str(port)], cwd=root, env=env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                break
        time.sleep(0.2)
    assert process.poll() is None, process.communicate()[0]
    yield f"http://127.0.0.1:{port}", temporary
    process.terminate()
    process.wait(30)
    assert not list(temporary.iterdir()), "no files are left on the disk"


def test_app_client_upload_equals_page(app_server: tuple[str, Path], tmp_path: Path) -> None:
    address, temporary = app_server
    Image.fromarray(head(3)).save(tmp_path / "scan.png")
    client = Client(address, verbose=False)
    client.predict(handle_file(tmp_path / "scan.png"), "axial", api_name="/on_upload")
    image, prediction, label = client.predict(1, "quickstart", "Grad-CAM", 0.6, api_name="/on_predict")
    assert "data:image/png;base64," in image
    assert "scan.png" in image
    assert "probability" in prediction
    assert {one["label"] for one in label["confidences"]} == {"a", "b", "c"}
    client.predict("quickstart", "a, test image 1", api_name="/on_example")
    image = client.predict(1, "quickstart", "no heat map", 0.6, api_name="/on_predict")[0]
    assert "example: a, test image 1" in image
    disclaimer, model_card, *_ = client.predict("real", api_name="/on_model_change")
    assert GENERATED not in disclaimer
    assert NOT_CLINICAL in disclaimer
    assert "There is no model card yet" in model_card
    assert "high relevance" not in client.predict(0.3, api_name="/on_opacity_change")
    (tmp_path / "bad.png").write_bytes(b"hello")
    client.predict(handle_file(tmp_path / "bad.png"), "axial", api_name="/on_upload")
    image, prediction, label = client.predict(1, "quickstart", "Grad-CAM", 0.6, api_name="/on_predict")
    assert "bad.png cannot be read: not an image file" in image
    assert (prediction, label) == ("", {}), "nothing of the previous image is left"
    assert not [file for file in temporary.rglob("*") if file.is_file() and file.stat().st_size], "uploads are removed"


def test_app_page_is_local_without_external_links(app_server: tuple[str, Path]) -> None:
    page = requests.get(app_server[0], timeout=20).text
    assert "brain-tumor-mri" in page
    urls = re.findall(r"""(?:src|href)=["'](https?://[^"']+)""", page)
    assert [url for url in urls if "127.0.0.1" not in url] == []
    port = int(app_server[0].rsplit(":", 1)[1])
    with socket.socket() as probe:
        probe.settimeout(2)
        addresses = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
        own = next((address[4][0] for address in addresses), "127.0.0.1")
        if not str(own).startswith("127."):
            assert probe.connect_ex((str(own), port)) != 0, "other machines are not served"
