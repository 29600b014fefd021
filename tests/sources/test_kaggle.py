"""Kaggle's real client with a loopback server, in processes with a clean environment."""

import io
import random
import socket
import subprocess
import zipfile
from pathlib import Path

import pytest

from brain_tumor.core import params
from brain_tumor.core.errors import UserError
from brain_tumor.datasets import registry
from brain_tumor.datasets.raw_archive import RawImage, check_expected, write_archive
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.local_files import find_local_file
from brain_tumor.sources.kaggle import Source, images
from brain_tumor.sources.kaggle import client as kaggle
from clinical_files import RAMP, make_dicom
from layout_reading import read_images
from servers import SIGNATURE, KaggleServer, run_clean

HANDLE = "someone/brain-scans"
SECRET = "KGAT_test0secret"
PARAMS = Path(__file__).parents[2] / "params.yaml"


def make_zip(size: int) -> bytes:
    """Make a zip archive with one stored member of `size` random bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("yes/1.jpg", random.Random(size).randbytes(size))
    return buffer.getvalue()


SMALL, OTHER, LARGE = make_zip(1000), make_zip(1001), make_zip(3 << 20)
DATASETS = {(HANDLE, 1): SMALL, (HANDLE, 2): OTHER, (HANDLE, 3): LARGE}


def fetch(
    url: str, home: Path, version: int = 1, handle: str = HANDLE, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Fetch to `home`/downloads; neither credentials nor a signed URL may be printed, even after an error."""
    code = (
        "from brain_tumor.sources.kaggle.client import fetch; "
        f"print(fetch({handle!r}, {version}, Path('downloads')).as_posix())"
    )
    result = run_clean(code, home, KAGGLE_API_URL=url, **environment)
    output = result.stdout + result.stderr
    assert SIGNATURE not in output
    assert SECRET not in output
    assert "Traceback" not in output
    return result


def archive_path(home: Path, version: int = 1) -> Path:
    return home / "downloads" / f"someone-brain-scans-v{version}" / "brain-scans.zip"


def test_fetch_without_credentials_downloads_once(tmp_path: Path) -> None:
    with KaggleServer(DATASETS) as server:
        first = fetch(server.url, tmp_path)
        num_requests = len(server.requests)
        second = fetch(server.url, tmp_path)
    # Standard output contains the result only, without the output of the client.
    assert first.stdout == second.stdout == "downloads/someone-brain-scans-v1/brain-scans.zip\n"
    assert archive_path(tmp_path).read_bytes() == SMALL
    assert sorted(path.name for path in archive_path(tmp_path).parent.iterdir()) == ["brain-scans.zip", "lock"]
    assert not any(request.authorization for request in server.requests)
    assert num_requests == len(server.requests) == 2


def test_fetch_versions_have_separate_files(tmp_path: Path) -> None:
    with KaggleServer(DATASETS) as server:
        fetch(server.url, tmp_path, 1)
        fetch(server.url, tmp_path, 2)
    assert archive_path(tmp_path, 1).read_bytes() == SMALL
    assert archive_path(tmp_path, 2).read_bytes() == OTHER


def test_fetch_token_is_sent_to_the_service_only(tmp_path: Path) -> None:
    with KaggleServer(DATASETS, token=SECRET) as server:
        assert fetch(server.url, tmp_path, KAGGLE_API_TOKEN=SECRET).returncode == 0
    assert archive_path(tmp_path).read_bytes() == SMALL
    signed_in = {request.path: bool(request.authorization) for request in server.requests}
    assert signed_in["/v1/datasets.DatasetApiService/DownloadDataset"]
    assert not signed_in[f"/storage/{HANDLE}/1"]


def test_fetch_username_and_key_are_sent(tmp_path: Path) -> None:
    with KaggleServer(DATASETS) as server:
        assert fetch(server.url, tmp_path, KAGGLE_USERNAME="me", KAGGLE_KEY=SECRET).returncode == 0
    assert server.requests[0].authorization.startswith("Basic ")


def test_fetch_wrong_token_error_has_the_status(tmp_path: Path) -> None:
    with KaggleServer(DATASETS, token="another") as server:
        result = fetch(server.url, tmp_path, KAGGLE_API_TOKEN=SECRET)
    assert result.returncode == 1
    assert "status 401" in result.stderr


@pytest.mark.parametrize("status", [401, 403])
def test_fetch_denied_access_error_says_how_to_sign_in(tmp_path: Path, status: int) -> None:
    with KaggleServer(DATASETS, failures=[status]) as server:
        result = fetch(server.url, tmp_path)
    assert result.returncode == 1
    assert f"{HANDLE} version 1 could not be downloaded: 127.0.0.1 responded with HTTP status {status}" in result.stderr
    ways = ("KAGGLE_API_TOKEN", "~/.kaggle/access_token", "KAGGLE_USERNAME", "KAGGLE_KEY", "kaggle.json")
    for way in (*ways, "kaggle auth login", "terms", f"https://www.kaggle.com/datasets/{HANDLE}/versions/1"):
        assert way in result.stderr
    assert len(server.requests) == 1


def test_fetch_unknown_version_error_names_it(tmp_path: Path) -> None:
    with KaggleServer(DATASETS) as server:
        result = fetch(server.url, tmp_path, 9)
    assert result.returncode == 1
    assert f"{HANDLE} version 9" in result.stderr
    assert "no such version" in result.stderr


def test_fetch_service_without_response_times_out(tmp_path: Path) -> None:
    code = """
from brain_tumor.datasets import http_limits
from brain_tumor.sources.kaggle import client
http_limits.TIMEOUT_SECONDS = (1, 0.2)
client.fetch("someone/brain-scans", 1, Path("downloads"))
"""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = run_clean(code, tmp_path, KAGGLE_API_URL=f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert result.returncode == 1
    assert "could not be reached, or the connection broke (ReadTimeout)" in result.stderr
    assert "DATA_ARCHIVES=" in result.stderr


def test_fetch_web_page_instead_of_archive_is_discarded(tmp_path: Path) -> None:
    with KaggleServer(DATASETS, html=True) as server:
        result = fetch(server.url, tmp_path)
    assert result.returncode == 1
    assert "a web page (HTML) that is not a zip archive" in result.stderr
    assert list((tmp_path / "downloads").rglob("*.zip")) == []


def test_fetch_corrupted_archive_is_discarded(tmp_path: Path) -> None:
    corrupted = bytearray(SMALL)
    corrupted[500] ^= 1
    with KaggleServer({(HANDLE, 1): bytes(corrupted)}) as server:
        result = fetch(server.url, tmp_path)
    assert result.returncode == 1
    assert "member yes/1.jpg is corrupted; file discarded, run again" in result.stderr
    assert not archive_path(tmp_path).exists()


def test_fetch_no_connection_error_says_how_to_download_manually(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://user:{SECRET}@127.0.0.1:{unused.getsockname()[1]}"
        result = fetch(url, tmp_path)
    assert result.returncode == 1
    assert f"{HANDLE} version 1: the service could not be reached" in result.stderr
    assert "brain-scans.zip" in result.stderr
    assert "DATA_ARCHIVES=" in result.stderr
    assert result.stderr.count("retrying in") == 4
    assert "gave up after 5 attempts" in result.stderr


@pytest.mark.parametrize("status", [429, 503])
def test_fetch_retryable_status_is_retried(tmp_path: Path, status: int) -> None:
    with KaggleServer(DATASETS, failures=[status, status]) as server:
        assert fetch(server.url, tmp_path).returncode == 0
    assert archive_path(tmp_path).read_bytes() == SMALL
    assert len(server.requests) == 4


def test_fetch_permanent_outage_is_an_error(tmp_path: Path) -> None:
    with KaggleServer(DATASETS, failures=[503] * 9) as server:
        result = fetch(server.url, tmp_path)
    assert result.returncode == 1
    assert "status 503" in result.stderr
    assert "DATA_ARCHIVES=" in result.stderr
    assert len(server.requests) == 5


def test_fetch_broken_connection_is_resumed(tmp_path: Path) -> None:
    with KaggleServer(DATASETS, cut=len(LARGE) - 1000) as server:
        assert fetch(server.url, tmp_path, 3).returncode == 0
    assert archive_path(tmp_path, 3).read_bytes() == LARGE
    assert int(server.requests[-1].range.strip("bytes=-")) > 1 << 20


def test_fetch_expired_url_is_requested_again(tmp_path: Path) -> None:
    with KaggleServer(DATASETS, cut=len(LARGE) - 1000, expiring=True) as server:
        assert fetch(server.url, tmp_path, 3).returncode == 0
    assert archive_path(tmp_path, 3).read_bytes() == LARGE


@pytest.mark.parametrize(("handle", "version"), [("brain-scans", 1), ("../up/x", 1), (HANDLE, 0)])
def test_fetch_invalid_handle_or_version_is_rejected(tmp_path: Path, handle: str, version: int) -> None:
    with pytest.raises(UserError, match="owner/slug"):
        kaggle.fetch(handle, version, tmp_path)


def test_fetch_unwritable_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "downloads").write_text("in the way")
    with KaggleServer(DATASETS) as server:
        result = fetch(server.url, tmp_path)
    assert result.returncode == 1
    assert "cannot be written" in result.stderr


LAYOUT = {"path": "{label}/{file}", "labels": {"yes": "tumor"}}


def read_archive(folder: Path, monkeypatch: pytest.MonkeyPatch, **block: object) -> list[RawImage]:
    """Read the archive `brain-scans.zip` in `folder`, without a request."""
    monkeypatch.setenv("DATA_ARCHIVES", str(folder))
    source = Source.model_validate({"kind": "kaggle", "handle": HANDLE, "version": 1, "layout": LAYOUT} | block)
    return list(images(source, folder / "scratch", SkippedFiles()))


@pytest.mark.parametrize(("from_header", "count"), [(True, 1), (False, 0)])
def test_images_one_patient_in_all_headers_is_noticed_and_can_be_overridden(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    from_header: bool,
    count: int,
) -> None:
    with zipfile.ZipFile(tmp_path / "brain-scans.zip", "w") as archive:
        for number in range(3):
            archive.writestr(f"yes/{number}.dcm", make_dicom(RAMP, PatientID="Anonymous"))
    found = read_archive(tmp_path, monkeypatch, patient_from_header=from_header)
    assert len({image.patient for image in found} - {""}) == count
    assert caplog.text.count("the headers of all 3 DICOM files name one patient") == count


def test_images_folder_or_other_archive_under_the_name_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "brain-scans.zip"
    path.mkdir()
    with pytest.raises(UserError, match=r"brain-scans.zip is a folder, not a zip archive: pack the files"):
        read_archive(tmp_path, monkeypatch)
    path.rmdir()
    path.write_bytes(b"Rar!\x1a\x07" + bytes(99))
    with pytest.raises(UserError, match=r"brain-scans.zip is a RAR archive, not a zip archive: unpack it"):
        read_archive(tmp_path, monkeypatch)


REAL = {"navoneel": "brain-mri-images-for-brain-tumor-detection", "nickparvar": "brain-tumor-mri-dataset"}


@pytest.mark.parametrize("name", REAL)
def test_fetch_real_archive_has_the_expected_content(tmp_path: Path, name: str) -> None:
    """Archives in DATA_ARCHIVES are sent as Kaggle does, with one broken connection, and read as in params.yaml."""
    file = find_local_file(f"{REAL[name]}.zip")
    if file is None:
        pytest.skip(f"{REAL[name]}.zip is not in DATA_ARCHIVES")
    source = params.read_params(PARAMS, f"datasets.{name}.source", Source)
    expected = params.read_params(PARAMS, f"datasets.{name}.expected", registry.ExpectedContent)
    content = file.read_bytes()
    with KaggleServer({(source.handle, source.version): content}, cut=len(content) - 5000) as server:
        result = fetch(server.url, tmp_path, source.version, source.handle)
    assert result.returncode == 0, result.stderr
    index = write_archive(
        tmp_path / "raw.zip", read_images(tmp_path / result.stdout.strip(), source.layout, SkippedFiles())
    )
    check_expected(index, expected.counts, expected.fingerprint, name)


def test_import_client_does_not_change_the_process(tmp_path: Path) -> None:
    code = """
import os
from brain_tumor.sources.kaggle import client as kaggle
client = kaggle._import_client()
print(sys.stdin.closed, client.args, os.environ["VERBOSE"])
"""
    assert run_clean(code, tmp_path, VERBOSE="1").stdout == "False [] 1\n"
