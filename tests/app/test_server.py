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

import nibabel
import numpy as np
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


def files_of(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and file.stat().st_size]


def test_app_client_upload_equals_page(app_server: tuple[str, Path], tmp_path: Path) -> None:
    address, temporary = app_server
    Image.fromarray(head(3)).save(tmp_path / "scan.png")
    client = Client(address, verbose=False)
    client.predict(handle_file(tmp_path / "scan.png"), api_name="/on_upload")
    image, prediction, verdict = client.predict("axial", 1, "quickstart", "Grad-CAM", 0.6, api_name="/on_predict")
    assert "data:image/png;base64," in image
    assert "scan.png" in image
    assert "probability" in prediction
    assert all(f'<th scope="row">{label}</th>' in prediction for label in "abc")
    assert "Grad-CAM, for this model: not measured" in verdict
    assert "high relevance" not in client.predict(0.3, api_name="/on_opacity_change").split("scan.png")[0][:100]
    *_, upload = client.predict("quickstart", "a, test image 1", api_name="/on_example")
    assert upload is None, "the example clears the upload"
    image, _, verdict = client.predict("axial", 1, "quickstart", "no heat map", 0.6, api_name="/on_predict")
    assert "a, test image 1" in image
    assert verdict == ""
    *_, example, message = client.predict(handle_file(tmp_path / "scan.png"), api_name="/on_upload")
    assert example == "", "the upload clears the example"
    assert "Upload an image" in message
    disclaimer, model_card, *_ = client.predict("real", api_name="/on_model_change")
    assert GENERATED not in disclaimer
    assert NOT_CLINICAL in disclaimer
    assert "There is no model card yet" in model_card
    (tmp_path / "bad.png").write_bytes(b"hello")
    client.predict(handle_file(tmp_path / "bad.png"), api_name="/on_upload")
    image, message, verdict = client.predict("axial", 1, "quickstart", "Grad-CAM", 0.6, api_name="/on_predict")
    assert "bad.png cannot be read: not an image file" in message
    assert (image, verdict) == ("", ""), "nothing of the previous image is left"
    assert not files_of(temporary), "uploads are removed"


def test_app_plane_and_slice_change_the_picture(app_server: tuple[str, Path], tmp_path: Path) -> None:
    volume = np.stack([head(n, 48) for n in range(40)], -1).astype(np.float32)
    nibabel.Nifti1Image(volume, np.eye(4)).to_filename(tmp_path / "v.nii.gz")
    client = Client(app_server[0], verbose=False)
    client.predict(handle_file(tmp_path / "v.nii.gz"), api_name="/on_upload")
    pictures = set()
    for plane, number in (("axial", 1), ("axial", 2), ("coronal", 2), ("sagittal", 2)):
        slider = client.predict(plane, api_name="/on_plane_change")
        assert slider["label"].startswith("Slice, from the ")
        image = client.predict(plane, number, "quickstart", "no heat map", 0.6, api_name="/on_predict")[0]
        assert f"v.nii.gz, {plane} slice {number} of {slider['maximum']}" in image
        pictures.add(image.split("base64,")[1].split('"')[0])
    assert len(pictures) == 4


def test_app_rejected_image_has_no_answer_and_no_heat_map(app_server: tuple[str, Path], tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (96, 96), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    client = Client(app_server[0], verbose=False)
    client.predict(handle_file(tmp_path / "noise.png"), api_name="/on_upload")
    image, prediction, verdict = client.predict("axial", 1, "quickstart", "Grad-CAM", 0.6, api_name="/on_predict")
    assert "No answer: this does not look like a head slice" in prediction
    assert "probability" not in prediction
    assert "high relevance" not in image
    assert verdict == ""


def test_app_opened_page_names_the_check_that_is_missing(app_server: tuple[str, Path]) -> None:
    client = Client(app_server[0], verbose=False)
    job = client.submit("quickstart", api_name="/on_open")
    methods, note = job.result()
    assert "dvc repro stages/dvc.yaml:export@quickstart" in note, "the project of this test has no export"
    assert ["Grad-CAM", "Grad-CAM"] in [list(choice) for choice in methods["choices"]]
    assert any("are being loaded" in status for _, status in job.outputs())


def test_app_large_images_are_rejected_and_leave_no_memory(app_server: tuple[str, Path], tmp_path: Path) -> None:
    Image.new("L", (8000, 8000), 90).save(tmp_path / "large.png")
    client = Client(app_server[0], verbose=False)
    for _ in range(3):
        *_, message = client.predict(handle_file(tmp_path / "large.png"), api_name="/on_upload")
        assert "large.png cannot be read: it has 8,000×8,000 pixels; the app takes at most 16 megapixels" in message
    assert not files_of(app_server[1])


def test_app_slow_file_does_not_delay_the_files_of_others(app_server: tuple[str, Path], tmp_path: Path) -> None:
    nibabel.Nifti1Image(np.zeros((250, 250, 250), np.uint8), np.eye(4)).to_filename(tmp_path / "slow.nii.gz")
    Image.fromarray(head(3)).save(tmp_path / "quick.png")
    slow, quick = (Client(app_server[0], verbose=False) for _ in range(2))
    job = slow.submit(handle_file(tmp_path / "slow.nii.gz"), api_name="/on_upload")
    time.sleep(0.5)
    quick.predict(handle_file(tmp_path / "quick.png"), api_name="/on_upload")
    assert not job.done(), "the slow file is still being read"
    assert "quick.png" in quick.predict("axial", 1, "quickstart", "no heat map", 0.6, api_name="/on_predict")[0]
    job.result(timeout=120)


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
