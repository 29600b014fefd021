"""Downloads over HTTP against a loopback server: what breaks off, comes back, or is something else."""

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
from servers import Handler, Server

from brain_tumor import fetching
from brain_tumor.errors import UserError
from brain_tumor.fetching import Expected, RefusedError, download, get_json

CONTENT = np.random.default_rng(0).integers(0, 256, 300_000).astype(np.uint8).tobytes()
ZIP = b"PK\x03\x04" + CONTENT


class FileServer(Server):
    """Serves `content` at any address; the first answers are `failures`, which ask to wait `retry_after`."""

    def __init__(
        self, content: bytes = ZIP, *, failures: Sequence[int] = (), cut: int | None = None, retry_after: str = "",
        slow: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(failures=failures, cut=cut)
        self.content, self.retry_after, self.slow = content, retry_after, slow

    def answer(self, request: Handler, path: str, query: str, body: bytes) -> None:
        """Fail, or serve."""
        time.sleep(self.slow)
        if self.failures:
            request.reply(self.failures.pop(0), b"", Retry_After=self.retry_after)
        elif path.endswith(".json"):
            request.reply(200, self.content)
        else:
            request.reply_file(self.content)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "WAITS", (0.01, 0.02, 0.03))


def test_a_file_is_downloaded_once(tmp_path: Path) -> None:
    with FileServer() as server:
        for _ in range(2):
            path = download(f"{server.url}/a.zip", tmp_path / "new/a.zip", Expected(len(ZIP), magic=b"PK"), "set")
            assert path.read_bytes() == ZIP
        assert len(server.seen) == 1
    assert not list(tmp_path.rglob("*.partial*"))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(ZIP) - 1))
def test_cut_anywhere_only_the_missing_bytes_are_fetched_again(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    target = tmp_path_factory.mktemp("cut") / "a.zip"
    with FileServer(cut=cut) as server:
        download(f"{server.url}/a.zip", target, Expected(len(ZIP), hashlib.md5(ZIP).hexdigest()), "set")
        ranges = [seen.range for seen in server.seen]
    assert target.read_bytes() == ZIP
    assert len(ranges) == 2
    # What the client had not yet read when the line broke may come again: no more than one piece.
    start = int(ranges[1].removeprefix("bytes=").rstrip("-") or 0)
    assert cut - fetching.CHUNK <= start <= cut


def test_the_next_run_goes_on_where_a_killed_one_stopped(tmp_path: Path) -> None:
    target = tmp_path / "a.zip"
    with FileServer() as server:
        notes = {"tag": f'"{hashlib.md5(ZIP).hexdigest()}"', "size": len(ZIP)}
        Path(f"{target}.partial").write_bytes(ZIP[:1000])
        Path(f"{target}.partial.json").write_text(json.dumps(notes))
        download(f"{server.url}/a.zip", target, Expected(), "set")
        assert [seen.range for seen in server.seen] == ["bytes=1000-"]
    assert target.read_bytes() == ZIP


@pytest.mark.parametrize("notes", ["", "{", '{"tag": 1}', "[]", '{"size": 5}'])
def test_notes_of_a_run_that_was_killed_while_writing_them_do_no_harm(tmp_path: Path, notes: str) -> None:
    target = tmp_path / "a.zip"
    Path(f"{target}.partial").write_bytes(b"what is here belongs to nobody knows what")
    Path(f"{target}.partial.json").write_text(notes)
    with FileServer() as server:
        download(f"{server.url}/a.zip", target, Expected(), "set")
    assert target.read_bytes() == ZIP


def test_a_line_that_breaks_again_and_again_still_brings_the_file(tmp_path: Path) -> None:
    target = tmp_path / "a.zip"

    class Flaky(FileServer):
        def answer(self, request: Handler, path: str, query: str, body: bytes) -> None:
            self.cut = int((request.headers.get("Range") or "0-").strip("bytes=-")) + 100_000
            super().answer(request, path, query, body)

    with Flaky() as server:
        download(f"{server.url}/a.zip", target, Expected(len(ZIP)), "set")
        starts = [int(seen.range.strip("bytes=-") or 0) for seen in server.seen]
    assert target.read_bytes() == ZIP
    assert len(starts) == 4  # each line brought what it could, less one small piece
    assert all(100_000 - fetching.CHUNK <= after - before <= 100_000 for before, after in pairwise(starts))


def test_another_part_than_asked_for_is_not_appended(tmp_path: Path) -> None:
    target = tmp_path / "a.zip"

    class Wrong(FileServer):
        def answer(self, request: Handler, path: str, query: str, body: bytes) -> None:
            if request.headers.get("Range"):
                request.reply(206, ZIP[5:], Content_Range=f"bytes 5-{len(ZIP) - 1}/{len(ZIP)}")
            else:
                super().answer(request, path, query, body)

    with Wrong(cut=5000) as server:
        download(f"{server.url}/a.zip", target, Expected(), "set")
    assert target.read_bytes() == ZIP


def test_what_a_check_finds_is_thrown_away_before_anybody_sees_it(tmp_path: Path) -> None:
    target = tmp_path / "a.zip"
    with FileServer() as server, pytest.raises(UserError, match=r"sent nonsense; it was thrown away"):
        download(f"{server.url}/a.zip", target, Expected(check=lambda path: "nonsense"), "set")
    assert not target.exists()
    assert not list(tmp_path.glob("*.partial*"))


@pytest.mark.parametrize("headers", [{"Retry_After": "²"}, {"Retry_After": "Nonsense, 99"}, {"Retry_After": "9" * 400}])
def test_odd_headers_are_not_believed(tmp_path: Path, headers: dict[str, str]) -> None:
    with FileServer(failures=[503], retry_after="") as server:
        server.retry_after = headers["Retry_After"].encode().decode("latin-1")
        download(f"{server.url}/a.zip", tmp_path / "a.zip", Expected(), "set")


@pytest.mark.parametrize("content", [b"[" * 200_000, b"1" * 10_000, b"{", b"\xff"])
def test_odd_json_is_one_line(content: bytes) -> None:
    with FileServer(content) as server, pytest.raises(UserError, match="no usable answer"):
        get_json(f"{server.url}/x.json", {}, "set")


def test_bytes_of_another_file_are_not_mixed_in(tmp_path: Path) -> None:
    target = tmp_path / "a.zip"
    with FileServer(cut=5000) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetching, "WAITS", ())
        with pytest.raises(UserError, match="broke off"):
            download(f"{server.url}/a.zip", target, Expected(), "set")
    other = b"PK" + CONTENT[::-1]
    with FileServer(other) as server:
        download(f"{server.url}/a.zip", target, Expected(), "set")
    assert target.read_bytes() == other


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(tmp_path: Path, status: int) -> None:
    with FileServer(failures=[status, status]) as server:
        download(f"{server.url}/a.zip", tmp_path / "a.zip", Expected(), "set")
        assert len(server.seen) == 3


def test_retry_after_is_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FileServer(failures=[429], retry_after="1") as server:
        start = time.monotonic()
        download(f"{server.url}/a.zip", tmp_path / "a.zip", Expected(), "set")
        assert time.monotonic() - start >= 1
    monkeypatch.setattr(fetching, "LONGEST_WAIT", 0.05)
    with FileServer(failures=[503], retry_after="Fri, 31 Dec 2099 23:59:59 GMT") as server:
        download(f"{server.url}/a.zip", tmp_path / "b.zip", Expected(), "set")


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 410])
def test_what_will_not_pass_is_not_tried_again(tmp_path: Path, status: int) -> None:
    with FileServer(failures=[status]) as server, pytest.raises(RefusedError) as caught:
        download(f"{server.url}/a.zip", tmp_path / "a.zip", Expected(), "set")
    assert caught.value.status == status
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("content", "expected", "says"),
    [
        (b"  <!DOCTYPE html><p>Sign in", Expected(), "a web page"),
        (ZIP, Expected(len(ZIP) + 1), "300,004 bytes instead of 300,005"),
        (ZIP, Expected(md5="0" * 32), "MD5"),
        (CONTENT, Expected(magic=b"PK"), "another type"),
    ],
)
def test_something_else_is_thrown_away(tmp_path: Path, content: bytes, expected: Expected, says: str) -> None:
    with FileServer(content) as server, pytest.raises(UserError, match=says) as caught:
        download(f"{server.url}/a.zip?signature=5ecret", tmp_path / "a.zip", expected, "the set")
    assert "the set" in str(caught.value)
    assert "5ecret" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip.lock"]


def test_no_server_is_an_error_that_names_no_address(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="could not be reached") as caught:
        download("http://127.0.0.1:9/a.zip?signature=5ecret", tmp_path / "a.zip", Expected(), "set")
    assert "5ecret" not in str(caught.value)


def test_json_and_what_is_none() -> None:
    with FileServer(b'{"a": 1}') as server:
        assert get_json(f"{server.url}/x.json", {}, "set") == {"a": 1}
    with FileServer(b"<html>") as server, pytest.raises(UserError, match="no usable answer"):
        get_json(f"{server.url}/x.json", {}, "set")


def _download(url: str, target: str) -> None:
    download(url, Path(target), Expected(len(ZIP), hashlib.md5(ZIP).hexdigest()), "set")


def test_two_at_once_fetch_it_once(tmp_path: Path) -> None:
    with FileServer(slow=0.3) as server:
        spawn = multiprocessing.get_context("fork")
        both = [
            spawn.Process(target=_download, args=(f"{server.url}/a.zip", str(tmp_path / "a.zip"))) for _ in range(2)
        ]
        for process in both:
            process.start()
        for process in both:
            process.join()
        assert [process.exitcode for process in both] == [0, 0]
        assert len(server.seen) == 1
    assert (tmp_path / "a.zip").read_bytes() == ZIP


def test_killed_at_any_moment_it_is_simply_run_again(tmp_path: Path) -> None:
    target = tmp_path / "a.zip"
    spawn = multiprocessing.get_context("fork")
    with FileServer(slow=0.02) as server:
        for delay in (0.0, 0.01, 0.03, 0.05):
            process = spawn.Process(target=_download, args=(f"{server.url}/a.zip", str(target)))
            process.start()
            time.sleep(delay)
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            assert not target.exists() or target.read_bytes() == ZIP
        _download(f"{server.url}/a.zip", str(target))
    assert target.read_bytes() == ZIP
