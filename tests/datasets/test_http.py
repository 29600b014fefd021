"""Downloads over HTTP from a loopback server: resumed, retried and validated."""

import hashlib
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brain_tumor.core.errors import UserError
from brain_tumor.datasets import http
from brain_tumor.datasets.http import (
    ExpectedFile,
    HttpStatusError,
    RetriesExhaustedError,
    download,
    get_json,
    service_url,
)
from servers import Handler, Server

CONTENT = np.random.default_rng(0).integers(0, 256, 300_000).astype(np.uint8).tobytes()
ZIP = b"PK\x03\x04" + CONTENT


class FileServer(Server):
    """Sends `content` for any path; the first responses are `failures`, with the header Retry-After `retry_after`."""

    def __init__(
        self, content: bytes = ZIP, *, failures: Sequence[int] = (), cut: int | None = None, retry_after: str = "",
        slow: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(failures=failures, cut=cut)
        self.content, self.retry_after, self.slow = content, retry_after, slow

    def respond(self, request: Handler, path: str, query: str, body: bytes) -> None:
        """Send a failure or the content."""
        time.sleep(self.slow)
        if self.failures:
            request.reply(self.failures.pop(0), b"", Retry_After=self.retry_after)
        elif path.endswith(".json"):
            request.reply(200, self.content)
        else:
            request.reply_file(self.content)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "RETRY_WAIT_SECONDS", (0.01, 0.02, 0.03))


def test_download_existing_file_is_not_requested_again(tmp_path: Path) -> None:
    with FileServer() as server:
        for _ in range(2):
            path = download(f"{server.url}/a.zip", tmp_path / "new/a.zip", ExpectedFile(len(ZIP), magic=b"PK"), "set")
            assert path.read_bytes() == ZIP
        assert len(server.requests) == 1
    assert not list(tmp_path.rglob("*.partial*"))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(ZIP) - 1))
def test_download_broken_connection_requests_only_the_missing_bytes(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    target = tmp_path_factory.mktemp("cut") / "a.zip"
    with FileServer(cut=cut) as server:
        download(f"{server.url}/a.zip", target, ExpectedFile(len(ZIP), hashlib.md5(ZIP).hexdigest()), "set")
        ranges = [request.range for request in server.requests]
    assert target.read_bytes() == ZIP
    assert len(ranges) == 2
    # At most one chunk is requested again: the one that the client was reading when the connection broke.
    start = int(ranges[1].removeprefix("bytes=").rstrip("-") or 0)
    assert cut - http.CHUNK_BYTES <= start <= cut


def test_download_after_killed_run_is_resumed(tmp_path: Path) -> None:
    target = tmp_path / "a.zip"
    with FileServer() as server:
        state = {"etag": f'"{hashlib.md5(ZIP).hexdigest()}"', "size": len(ZIP)}
        Path(f"{target}.partial").write_bytes(ZIP[:1000])
        Path(f"{target}.partial.json").write_text(json.dumps(state))
        download(f"{server.url}/a.zip", target, ExpectedFile(), "set")
        assert [request.range for request in server.requests] == ["bytes=1000-"]
    assert target.read_bytes() == ZIP


@pytest.mark.parametrize("state", ["", "{", '{"etag": 1}', "[]", '{"size": 5}'])
def test_download_with_invalid_state_starts_from_scratch(tmp_path: Path, state: str) -> None:
    target = tmp_path / "a.zip"
    Path(f"{target}.partial").write_bytes(b"bytes of an unknown file")
    Path(f"{target}.partial.json").write_text(state)
    with FileServer() as server:
        download(f"{server.url}/a.zip", target, ExpectedFile(), "set")
    assert target.read_bytes() == ZIP


def test_download_repeatedly_broken_connection_completes_file(tmp_path: Path) -> None:
    target = tmp_path / "a.zip"

    class Flaky(FileServer):
        def respond(self, request: Handler, path: str, query: str, body: bytes) -> None:
            self.cut = int((request.headers.get("Range") or "0-").strip("bytes=-")) + 100_000
            super().respond(request, path, query, body)

    with Flaky() as server:
        download(f"{server.url}/a.zip", target, ExpectedFile(len(ZIP)), "set")
        starts = [int(request.range.strip("bytes=-") or 0) for request in server.requests]
    assert target.read_bytes() == ZIP
    assert len(starts) == 4  # each connection sent all its bytes, except at most one chunk
    assert all(100_000 - http.CHUNK_BYTES <= after - before <= 100_000 for before, after in pairwise(starts))


def test_download_other_range_than_requested_is_not_appended(tmp_path: Path) -> None:
    target = tmp_path / "a.zip"

    class Wrong(FileServer):
        def respond(self, request: Handler, path: str, query: str, body: bytes) -> None:
            if request.headers.get("Range"):
                request.reply(206, ZIP[5:], Content_Range=f"bytes 5-{len(ZIP) - 1}/{len(ZIP)}")
            else:
                super().respond(request, path, query, body)

    with Wrong(cut=5000) as server:
        download(f"{server.url}/a.zip", target, ExpectedFile(), "set")
    assert target.read_bytes() == ZIP


def test_download_invalid_file_is_discarded(tmp_path: Path) -> None:
    target = tmp_path / "a.zip"
    with FileServer() as server, pytest.raises(UserError, match=r"sent nonsense; file discarded, run again"):
        download(f"{server.url}/a.zip", target, ExpectedFile(validate=lambda path: "nonsense"), "set")
    assert not target.exists()
    assert not list(tmp_path.glob("*.partial*"))


@pytest.mark.parametrize("headers", [{"Retry_After": "²"}, {"Retry_After": "Nonsense, 99"}, {"Retry_After": "9" * 400}])
def test_download_invalid_retry_after_is_ignored(tmp_path: Path, headers: dict[str, str]) -> None:
    with FileServer(failures=[503], retry_after="") as server:
        server.retry_after = headers["Retry_After"].encode().decode("latin-1")
        download(f"{server.url}/a.zip", tmp_path / "a.zip", ExpectedFile(), "set")


@pytest.mark.parametrize("content", [b"[" * 200_000, b"1" * 10_000, b"{", b"\xff"])
def test_get_json_invalid_json_is_an_error(content: bytes) -> None:
    with FileServer(content) as server, pytest.raises(UserError, match="sent an invalid response"):
        get_json(f"{server.url}/x.json", {}, "set")


def test_download_file_changed_on_server_is_not_mixed(tmp_path: Path) -> None:
    target = tmp_path / "a.zip"
    with FileServer(cut=5000) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(http, "RETRY_WAIT_SECONDS", ())
        with pytest.raises(UserError, match="the connection broke"):
            download(f"{server.url}/a.zip", target, ExpectedFile(), "set")
    other = b"PK" + CONTENT[::-1]
    with FileServer(other) as server:
        download(f"{server.url}/a.zip", target, ExpectedFile(), "set")
    assert target.read_bytes() == other


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_download_retryable_status_is_retried(tmp_path: Path, status: int) -> None:
    with FileServer(failures=[status, status]) as server:
        download(f"{server.url}/a.zip", tmp_path / "a.zip", ExpectedFile(), "set")
        assert len(server.requests) == 3


def test_download_waits_for_retry_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FileServer(failures=[429], retry_after="1") as server:
        start = time.monotonic()
        download(f"{server.url}/a.zip", tmp_path / "a.zip", ExpectedFile(), "set")
        assert time.monotonic() - start >= 1
    monkeypatch.setattr(http, "MAX_WAIT_SECONDS", 0.05)
    with FileServer(failures=[503], retry_after="Fri, 31 Dec 2099 23:59:59 GMT") as server:
        download(f"{server.url}/a.zip", tmp_path / "b.zip", ExpectedFile(), "set")


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 410])
def test_download_permanent_status_is_not_retried(tmp_path: Path, status: int) -> None:
    with FileServer(failures=[status]) as server, pytest.raises(HttpStatusError) as caught:
        download(f"{server.url}/a.zip", tmp_path / "a.zip", ExpectedFile(), "set")
    assert caught.value.status == status
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("content", "expected", "message"),
    [
        (b"  <!DOCTYPE html><p>Sign in", ExpectedFile(), "a web page"),
        (ZIP, ExpectedFile(len(ZIP) + 1), "300,004 bytes instead of 300,005"),
        (ZIP, ExpectedFile(md5="0" * 32), "MD5"),
        (CONTENT, ExpectedFile(magic=b"PK"), "another type"),
    ],
)
def test_download_unexpected_file_is_discarded(
    tmp_path: Path, content: bytes, expected: ExpectedFile, message: str
) -> None:
    with FileServer(content) as server, pytest.raises(UserError, match=message) as caught:
        download(f"{server.url}/a.zip?signature=5ecret", tmp_path / "a.zip", expected, "the set")
    assert "the set" in str(caught.value)
    assert "5ecret" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip.lock"]


def test_download_without_server_error_has_no_url(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RetriesExhaustedError, match=r"could not be reached.*; gave up after 4 attempts") as caught:
        download("http://me:pa55@127.0.0.1:9/a.zip?signature=5ecret", tmp_path / "a.zip", ExpectedFile(), "set")
    assert caught.value.status is None
    assert caplog.text.count("retrying in") == 3
    for secret in ("5ecret", "pa55"):
        assert secret not in str(caught.value)
        assert secret not in caplog.text


@pytest.mark.parametrize("url", ["http://[me:pa55/?signature=5ecret", "gopher://me:pa55@x/?signature=5ecret"])
def test_get_json_invalid_url_error_has_no_url(url: str) -> None:
    with pytest.raises(UserError, match="sent an invalid response") as caught:
        get_json(url, {}, "set")
    assert "5ecret" not in str(caught.value)
    assert "pa55" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_get_json_permanent_status_has_no_url() -> None:
    with FileServer(failures=[404]) as server, pytest.raises(HttpStatusError) as caught:
        get_json(f"{server.url}/x.json?key=5ecret", {}, "set")
    assert str(caught.value) == "responded with HTTP status 404"


def test_get_json_exhausted_retries_error_has_the_last_status() -> None:
    with FileServer(failures=[503, 503, 503, 429]) as server, pytest.raises(RetriesExhaustedError) as caught:
        get_json(f"{server.url}/x.json", {}, "set")
    assert caught.value.status == 429


def test_get_json_json_is_parsed() -> None:
    with FileServer(b'{"a": 1}') as server:
        assert get_json(f"{server.url}/x.json", {}, "set") == {"a": 1}


def test_get_json_web_page_is_an_error() -> None:
    with FileServer(b"<html>") as server, pytest.raises(UserError, match="sent an invalid response"):
        get_json(f"{server.url}/x.json", {}, "set")


@pytest.mark.parametrize(
    ("variable", "expected"), [(None, "https://x.org/api"), ("", "https://x.org/api"), ("http://y/", "http://y")]
)
def test_service_url_environment_replaces_the_default(
    variable: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOME_API_URL", raising=False)
    if variable is not None:
        monkeypatch.setenv("SOME_API_URL", variable)
    assert service_url("SOME_API_URL", "https://x.org/api") == expected


def _download(url: str, target: str) -> None:
    download(url, Path(target), ExpectedFile(len(ZIP), hashlib.md5(ZIP).hexdigest()), "set")


def test_download_in_two_processes_requests_the_file_once(tmp_path: Path) -> None:
    with FileServer(slow=0.3) as server:
        context = multiprocessing.get_context("fork")
        processes = [
            context.Process(target=_download, args=(f"{server.url}/a.zip", str(tmp_path / "a.zip"))) for _ in range(2)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0, 0]
        assert len(server.requests) == 1
    assert (tmp_path / "a.zip").read_bytes() == ZIP


def test_download_killed_at_any_time_is_complete_after_the_next_run(tmp_path: Path) -> None:
    target = tmp_path / "a.zip"
    context = multiprocessing.get_context("fork")
    with FileServer(slow=0.02) as server:
        for delay in (0.0, 0.01, 0.03, 0.05):
            process = context.Process(target=_download, args=(f"{server.url}/a.zip", str(target)))
            process.start()
            time.sleep(delay)
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            assert not target.exists() or target.read_bytes() == ZIP
        _download(f"{server.url}/a.zip", str(target))
    assert target.read_bytes() == ZIP
