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
from brain_tumor.app.uploads_folder import CLEANING_SECONDS, PARTIAL_SECONDS
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
    with (root / "app.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "brain_tumor.commands.main", "app", "--port", str(port)],
            cwd=root,
            env=env,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                break
        time.sleep(0.2)
    assert process.poll() is None, (root / "app.log").read_text()
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


def test_app_port_in_use_is_one_error(app_server: tuple[str, Path]) -> None:
    port = app_server[0].rsplit(":", 1)[1]
    line = [sys.executable, "-m", "brain_tumor.commands.main", "app", "--port", port]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    result = subprocess.run(line, env=env, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert result.stderr == f"error: another program uses port {port}: select another one with --port\n"


def test_app_start_says_what_it_does_and_loads_no_torch_before_the_page(app_server: tuple[str, Path]) -> None:
    code = "import sys, brain_tumor.app.server; sys.exit('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT / "src")}).returncode
        == 0
    )
    end = time.monotonic() + START_SECONDS
    log = app_server[1].parent / "app.log"
    while "is loaded" not in log.read_text() and time.monotonic() < end:
        time.sleep(0.2)
    messages = ("the page is being prepared", f"The page is at {app_server[0]}", "are being loaded", "is loaded.")
    places = [log.read_text().find(message) for message in messages]
    assert -1 not in places
    assert places == sorted(places)


def test_app_cut_off_upload_is_where_cleaning_finds_it(app_server: tuple[str, Path]) -> None:
    address, temporary = app_server
    host, port = address.removeprefix("http://").split(":")
    head_of_part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            b"POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9000000\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n" + head_of_part + bytes(2_000_000)
        )
        time.sleep(1)
    end = time.monotonic() + 20
    while not files_of(temporary) and time.monotonic() < end:
        time.sleep(0.1)
    (uploads,) = temporary.iterdir()
    cut_off = files_of(temporary)
    assert [file.parent for file in cut_off] == [uploads], "where partial uploads are looked for"
    old = time.time() - PARTIAL_SECONDS - 5
    os.utime(cut_off[0], (old, old))
    end = time.monotonic() + 3 * CLEANING_SECONDS
    while files_of(temporary) and time.monotonic() < end:
        time.sleep(0.2)
    assert not files_of(temporary), "removed without a further upload"
