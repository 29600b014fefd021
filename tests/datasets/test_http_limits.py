"""Services that send without end, slowly, or compressed beyond measure, on loopback."""

import gzip
import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from brain_tumor.core.errors import UserError
from brain_tumor.datasets import http
from brain_tumor.datasets.http import ExpectedFile, HttpStatusError, download, get_json
from brain_tumor.datasets.http_limits import Limits
from raw_server import ENDLESS, HEAD, SLOW, RawServer, endless

LIMITS = Limits(response_seconds=0.5, window_bytes=2**16, window_seconds=0.5, max_bytes=2**20)


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "RETRY_WAIT_SECONDS", (0.01,))
    monkeypatch.setattr(http, "FILE_LIMITS", LIMITS)
    monkeypatch.setattr(http, "MAX_FILE_BYTES", LIMITS.max_bytes)
    monkeypatch.setattr(http, "JSON_LIMITS", LIMITS._replace(window_bytes=2**21))


@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("is_file", [True, False], ids=["file", "json"])
def test_slow_response_is_given_up(name: str, is_file: bool, tmp_path: Path) -> None:
    target = tmp_path / "a.zip"
    start = time.monotonic()
    with RawServer(SLOW[name]) as server, pytest.raises(UserError, match=r"service (did not|sent less)") as caught:
        download(server.url, target, ExpectedFile(), "set") if is_file else get_json(server.url, {}, "set")
    assert time.monotonic() - start < 5
    assert server.connections == 2, "one retry"
    assert "gave up after 2 attempts" in str(caught.value)


def test_many_headers_are_an_error() -> None:
    with RawServer(endless(b"X-A: b\r\n", HEAD)) as server, pytest.raises(UserError):
        get_json(server.url, {}, "set")


def test_slow_response_that_keeps_the_rate_is_complete(tmp_path: Path) -> None:
    """The whole takes longer than each of the limits."""

    def answer() -> Iterator[bytes]:
        yield HEAD + b"Content-Length: 800000\r\n\r\n"
        for _ in range(8):
            yield bytes(100_000)
            time.sleep(0.1)

    with RawServer(answer) as server:
        assert download(server.url, tmp_path / "a.zip", ExpectedFile(), "set").stat().st_size == 800_000
        assert server.connections == 1


@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("expected", [ExpectedFile(), ExpectedFile(size=100_000)], ids=["unknown", "known"])
def test_download_endless_body_stops_at_the_limit(name: str, expected: ExpectedFile, tmp_path: Path) -> None:
    limit = expected.size or LIMITS.max_bytes
    with RawServer(ENDLESS[name]) as server, pytest.raises(UserError, match=f"more than {limit:,}"):
        download(server.url, tmp_path / "a.zip", expected, "set")
    assert server.connections == 1, "no retry would help"
    assert server.sent < limit + 2**24, "what the buffers of the system hold"
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("name", ENDLESS)
def test_get_json_endless_body_stops_at_the_limit(name: str) -> None:
    with RawServer(ENDLESS[name]) as server, pytest.raises(UserError, match="sent more than 1,048,576 bytes"):
        get_json(server.url, {}, "set")


@pytest.mark.parametrize("times", [1, 2])
def test_get_json_compressed_body_is_limited_after_decompression(times: int) -> None:
    body = json.dumps("0" * 200_000_000).encode()
    for _ in range(times):
        body = gzip.compress(body, 1)
    encodings = ", ".join(["gzip"] * times)
    head = HEAD + f"Content-Encoding: {encodings}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with RawServer(lambda: iter([head + body])) as server, pytest.raises(UserError, match="sent more than 1,048,576"):
        get_json(server.url, {}, "set")


def test_get_json_compressed_small_body_is_read() -> None:
    body = gzip.compress(b'{"a": 1}')
    head = HEAD + f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with RawServer(lambda: iter([head + body])) as server:
        assert get_json(server.url, {}, "set") == {"a": 1}


LOCATIONS = (
    "", "/", "http://127.0.0.1:9/", "http://[", "http://a b/", "http:///", "//", "file:///etc/passwd", "ftp://x/",
    "javascript:1", "http://127.0.0.1:99999/", "http://xn--a/", "http://" + "a" * 300 + "/", "http://.../", "?",
    "\\\\x", "http://user:pa55@127.0.0.1:9/", "http://\xff/", "data:,x", "http://%00/", "http://x:y/",
)  # fmt: skip


@pytest.mark.parametrize("location", LOCATIONS, ids=map(str, range(len(LOCATIONS))))
def test_redirect_to_anywhere_is_one_line(location: str, tmp_path: Path) -> None:
    answer = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location.encode("latin-1") + b"\r\n\r\n"
    with RawServer(lambda: iter([answer])) as server:
        for request in (
            partial(get_json, server.url, {}, "set"),
            partial(download, server.url, tmp_path / "a.zip", ExpectedFile(), "set"),
        ):
            with pytest.raises((UserError, HttpStatusError)) as caught:
                request()
            assert "\n" not in str(caught.value)
            assert "pa55" not in str(caught.value)
