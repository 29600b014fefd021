"""Kaggle's real client against a loopback server, in processes whose environment holds nothing else."""

import io
import random
import socket
import subprocess
import zipfile
from pathlib import Path

import pytest
from servers import SIGNATURE, KaggleServer, run_clean

from brain_tumor import datasets, params
from brain_tumor.archive import check_expected, write
from brain_tumor.errors import UserError
from brain_tumor.on_disk import find_on_disk
from brain_tumor.sources.kaggle import Source
from brain_tumor.sources.kaggle import client as kaggle
from brain_tumor.zips import read_images

HANDLE = "someone/brain-scans"
SECRET = "KGAT_planted0secret"
PARAMS = Path(__file__).parents[1] / "params.yaml"


def make_zip(size: int) -> bytes:
    """A zip with one stored member of `size` random bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("yes/1.jpg", random.Random(size).randbytes(size))
    return buffer.getvalue()


SMALL, OTHER, LARGE = make_zip(1000), make_zip(1001), make_zip(3 << 20)
DATASETS = {(HANDLE, 1): SMALL, (HANDLE, 2): OTHER, (HANDLE, 3): LARGE}


def fetch(
    url: str, home: Path, version: int = 1, handle: str = HANDLE, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Fetch into `home`/downloads; whatever happens, no credential may be printed, nor a signed address."""
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


def archive(home: Path, version: int = 1) -> Path:
    return home / "downloads" / f"someone-brain-scans-v{version}" / "brain-scans.zip"


def test_downloads_without_credentials_and_only_once(tmp_path: Path) -> None:
    with KaggleServer(DATASETS) as server:
        first = fetch(server.url, tmp_path)
        asked = len(server.seen)
        second = fetch(server.url, tmp_path)
    # Standard output holds the result and nothing of the client's own.
    assert first.stdout == second.stdout == "downloads/someone-brain-scans-v1/brain-scans.zip\n"
    assert archive(tmp_path).read_bytes() == SMALL
    assert sorted(path.name for path in archive(tmp_path).parent.iterdir()) == ["brain-scans.zip", "lock"]
    assert not any(seen.authorization for seen in server.seen)
    assert asked == len(server.seen) == 2


def test_versions_do_not_mix(tmp_path: Path) -> None:
    with KaggleServer(DATASETS) as server:
        fetch(server.url, tmp_path, 1)
        fetch(server.url, tmp_path, 2)
    assert archive(tmp_path, 1).read_bytes() == SMALL
    assert archive(tmp_path, 2).read_bytes() == OTHER


def test_token_opens_the_service_alone(tmp_path: Path) -> None:
    with KaggleServer(DATASETS, token=SECRET) as server:
        assert fetch(server.url, tmp_path, KAGGLE_API_TOKEN=SECRET).returncode == 0
    assert archive(tmp_path).read_bytes() == SMALL
    signed_in = {seen.path: bool(seen.authorization) for seen in server.seen}
    assert signed_in["/v1/datasets.DatasetApiService/DownloadDataset"]
    assert not signed_in[f"/storage/{HANDLE}/1"]


def test_username_and_key_are_sent(tmp_path: Path) -> None:
    with KaggleServer(DATASETS) as server:
        assert fetch(server.url, tmp_path, KAGGLE_USERNAME="me", KAGGLE_KEY=SECRET).returncode == 0
    assert server.seen[0].authorization.startswith("Basic ")


def test_wrong_token_is_told_how_to_sign_in(tmp_path: Path) -> None:
    with KaggleServer(DATASETS, token="another") as server:
        result = fetch(server.url, tmp_path, KAGGLE_API_TOKEN=SECRET)
    assert result.returncode == 1
    assert "status 401" in result.stderr


@pytest.mark.parametrize("status", [401, 403])
def test_no_access_is_told_how_to_sign_in(tmp_path: Path, status: int) -> None:
    with KaggleServer(DATASETS, failures=[status]) as server:
        result = fetch(server.url, tmp_path)
    assert result.returncode == 1
    assert f"{HANDLE} version 1 could not be downloaded: 127.0.0.1 answered with HTTP status {status}" in result.stderr
    ways = ("KAGGLE_API_TOKEN", "~/.kaggle/access_token", "KAGGLE_USERNAME", "KAGGLE_KEY", "kaggle.json")
    for way in (*ways, "kaggle auth login", "terms", f"https://www.kaggle.com/datasets/{HANDLE}/versions/1"):
        assert way in result.stderr
    assert len(server.seen) == 1


def test_unknown_version_is_named(tmp_path: Path) -> None:
    with KaggleServer(DATASETS) as server:
        result = fetch(server.url, tmp_path, 9)
    assert result.returncode == 1
    assert f"{HANDLE} version 9" in result.stderr
    assert "no such version" in result.stderr


def test_a_service_that_never_answers_is_not_waited_for_without_end(tmp_path: Path) -> None:
    code = """
from brain_tumor import fetching
from brain_tumor.sources.kaggle import client
client.TIMEOUT = (1, 0.2)
client.fetch("someone/brain-scans", 1, Path("downloads"))
"""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = run_clean(code, tmp_path, KAGGLE_API_URL=f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert result.returncode == 1
    assert "could not be reached, or broke off (ReadTimeout)" in result.stderr
    assert "DATA_ARCHIVES=" in result.stderr


def test_web_page_in_place_of_archive(tmp_path: Path) -> None:
    with KaggleServer(DATASETS, html=True) as server:
        result = fetch(server.url, tmp_path)
    assert result.returncode == 1
    assert "a web page (HTML) that is not a zip archive" in result.stderr
    assert list((tmp_path / "downloads").rglob("*.zip")) == []


def test_damaged_archive_is_refused(tmp_path: Path) -> None:
    damaged = bytearray(SMALL)
    damaged[500] ^= 1
    with KaggleServer({(HANDLE, 1): bytes(damaged)}) as server:
        result = fetch(server.url, tmp_path)
    assert result.returncode == 1
    assert "member yes/1.jpg is damaged" in result.stderr
    assert not archive(tmp_path).exists()


def test_no_connection_says_how_to_do_without(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://user:{SECRET}@127.0.0.1:{unused.getsockname()[1]}"
        result = fetch(url, tmp_path)
    assert result.returncode == 1
    assert f"{HANDLE} version 1: the service could not be reached" in result.stderr
    assert "brain-scans.zip" in result.stderr
    assert "DATA_ARCHIVES=" in result.stderr
    assert result.stderr.count("trying again") == 4


@pytest.mark.parametrize("status", [429, 503])
def test_passing_failures_are_retried(tmp_path: Path, status: int) -> None:
    with KaggleServer(DATASETS, failures=[status, status]) as server:
        assert fetch(server.url, tmp_path).returncode == 0
    assert archive(tmp_path).read_bytes() == SMALL
    assert len(server.seen) == 4


def test_lasting_outage_is_given_up(tmp_path: Path) -> None:
    with KaggleServer(DATASETS, failures=[503] * 9) as server:
        result = fetch(server.url, tmp_path)
    assert result.returncode == 1
    assert "status 503" in result.stderr
    assert "DATA_ARCHIVES=" in result.stderr
    assert len(server.seen) == 5


def test_broken_download_is_resumed(tmp_path: Path) -> None:
    with KaggleServer(DATASETS, cut=len(LARGE) - 1000) as server:
        assert fetch(server.url, tmp_path, 3).returncode == 0
    assert archive(tmp_path, 3).read_bytes() == LARGE
    assert int(server.seen[-1].range.strip("bytes=-")) > 1 << 20


def test_address_that_expires_meanwhile_is_asked_for_anew(tmp_path: Path) -> None:
    with KaggleServer(DATASETS, cut=len(LARGE) - 1000, expiring=True) as server:
        assert fetch(server.url, tmp_path, 3).returncode == 0
    assert archive(tmp_path, 3).read_bytes() == LARGE


@pytest.mark.parametrize(("handle", "version"), [("brain-scans", 1), ("../up/x", 1), (HANDLE, 0)])
def test_impossible_names_are_refused(tmp_path: Path, handle: str, version: int) -> None:
    with pytest.raises(UserError, match="owner/slug"):
        kaggle.fetch(handle, version, tmp_path)


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "downloads").write_text("in the way")
    with KaggleServer(DATASETS) as server:
        result = fetch(server.url, tmp_path)
    assert result.returncode == 1
    assert "cannot be written" in result.stderr


REAL = {"navoneel": "brain-mri-images-for-brain-tumor-detection", "nickparvar": "brain-tumor-mri-dataset"}


@pytest.mark.parametrize("name", REAL)
def test_real_archives_come_through_whole(tmp_path: Path, name: str) -> None:
    """With the archives in DATA_ARCHIVES, they are served as Kaggle does, cut once, and read by params.yaml."""
    file = find_on_disk(f"{REAL[name]}.zip")
    if file is None:
        pytest.skip(f"{REAL[name]}.zip is not in DATA_ARCHIVES")
    source = params.read(PARAMS, f"datasets.{name}.source", Source)
    expected = params.read(PARAMS, f"datasets.{name}.expect", datasets.Expected)
    content = file.read_bytes()
    with KaggleServer({(source.handle, source.version): content}, cut=len(content) - 5000) as server:
        result = fetch(server.url, tmp_path, source.version, source.handle)
    assert result.returncode == 0, result.stderr
    index = write(tmp_path / "raw.zip", read_images(tmp_path / result.stdout.strip(), source.layout))
    check_expected(index, expected.counts, expected.fingerprint, name)


def test_import_leaves_the_process_alone(tmp_path: Path) -> None:
    code = """
import os
from brain_tumor.sources.kaggle import client as kaggle
client = kaggle._client()
print(sys.stdin.closed, client.args, os.environ["VERBOSE"])
"""
    assert run_clean(code, tmp_path, VERBOSE="1").stdout == "False [] 1\n"
