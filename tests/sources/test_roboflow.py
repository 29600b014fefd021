"""The source `roboflow` with a loopback server."""

import logging
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.sources import roboflow
from roboflow_service import (
    EXPORT,
    EXPORT_PATH,
    FOLDERS,
    NAME,
    SECRET,
    SETTINGS,
    SOURCE,
    SUMMARY,
    RoboflowServer,
    make_content,
    make_members,
    make_zip,
    summarize,
)
from servers import SIGNATURE, Server, run_clean


@pytest.fixture(autouse=True)
def short_waits_and_no_leaks(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[None]:
    """Waits are divided by 100; neither the key nor a signed URL may be logged, printed or written."""
    for name in ("DATA_ARCHIVES", "ROBOFLOW_API_KEY", "ROBOFLOW_API_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(seconds / 100))
    caplog.set_level(logging.DEBUG)
    yield
    output = "\n".join([*(record.getMessage() for record in caplog.get_records("call")), *capfd.readouterr()])
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in (SECRET, SIGNATURE):
        assert secret not in output
        assert secret.encode() not in written


Load = Callable[..., list[RawImage]]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """A function that loads the data set from a server."""

    def load_images(
        server: Server, key: str = SECRET, skipped: SkippedFiles | None = None, **changes: Any
    ) -> list[RawImage]:
        monkeypatch.setenv("ROBOFLOW_API_URL", server.url)
        monkeypatch.setenv("ROBOFLOW_API_KEY", key)
        try:
            source = SOURCE.model_copy(update=changes)
            return list(roboflow.images(source, tmp_path / "scratch", skipped or SkippedFiles()))
        except UserError as error:
            if SECRET in str(error) or SIGNATURE in str(error):
                pytest.fail("the error contains the key or a signed URL")
            raise

    return load_images


def test_images_export_is_awaited_downloaded_once_and_read(
    load: Load, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    skipped = SkippedFiles()
    with RoboflowServer(progress=[0, 0.4, 2]) as server:
        images = load(server, skipped=skipped)
        paths = [request.path for request in server.requests]
        second = load(server, key="")
    assert summarize(images) == SUMMARY
    assert images[1].content == make_content("a.jpg")
    assert images == second
    assert paths == [EXPORT_PATH] * 4 + ["/storage/export.zip"] == [request.path for request in server.requests]
    assert not server.requests[-1].authorization
    folder = tmp_path / "scratch" / "roboflow-someone-brain-tumors-v3"
    assert (folder / NAME).read_bytes() == EXPORT
    # Nothing is extracted from the archive.
    assert {path.suffix for path in folder.iterdir()} <= {".zip", ".lock"}
    assert skipped.table().to_dict("split")["data"] == [
        ["README.roboflow.txt", "in no folder that `splits` names"],
        ["test/_annotations.coco.json", "an annotation file"],
        ["train/_annotations.coco.json", "an annotation file"],
        ["valid/_annotations.coco.json", "an annotation file"],
        ["valid/c.jpg", "only boxes of categories without a label"],
    ]
    assert "boxes of categories without a label, ignored: 2 (first: train/a.jpg)" in caplog.text
    assert "images without boxes, labeled notumor: 1" in caplog.text


def test_images_debug_logging_leaks_nothing(tmp_path: Path) -> None:
    code = f"""
logging.getLogger().setLevel(logging.DEBUG)
from brain_tumor.datasets.raw_archive import write_archive
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.sources.roboflow import Source, images
write_archive(Path("out.zip"), images(Source.model_validate({SETTINGS!r}), Path("scratch"), SkippedFiles()))
"""
    with RoboflowServer(progress=[0.5], cut=5000) as server:
        result = run_clean(code, tmp_path, ROBOFLOW_API_URL=server.url, ROBOFLOW_API_KEY=SECRET)
    assert result.returncode == 0, result.stderr
    assert "could not be reached, or the connection broke" in result.stderr
    assert SECRET not in result.stdout + result.stderr
    assert SIGNATURE not in result.stdout + result.stderr


def test_images_key_is_sent_to_the_service_only(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login in ~/.netrc would replace the key, and would be sent to the storage as well."""
    (tmp_path / "netrc").write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with RoboflowServer(progress=[0.1]) as server:
        assert summarize(load(server)) == SUMMARY
    assert [request.authorization for request in server.requests] == [f"Bearer {SECRET}", f"Bearer {SECRET}", ""]


def test_images_local_archive_needs_neither_key_nor_network(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / NAME).write_bytes(EXPORT)
    monkeypatch.setenv("DATA_ARCHIVES", str(tmp_path))
    with RoboflowServer() as server:
        assert summarize(load(server, key="")) == SUMMARY
    assert server.requests == []
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize("key", ["", " \n", "rf_test0secret x", "rf_tést"])
def test_images_unusable_key_error_says_how_to_get_one(load: Load, key: str) -> None:
    with RoboflowServer() as server, pytest.raises(UserError) as caught:
        load(server, key=key)
    for text in ("ROBOFLOW_API_KEY", "https://app.roboflow.com/settings/api", "DATA_ARCHIVES=", NAME):
        assert text in str(caught.value)
    assert server.requests == []


@pytest.mark.parametrize(
    ("failures", "message", "num_requests"),
    [
        ([401], "status 401.*The key is wrong.*ROBOFLOW_API_KEY.*DATA_ARCHIVES=", 1),
        ([403], "status 403.*The key is wrong.*ROBOFLOW_API_KEY.*DATA_ARCHIVES=", 1),
        ([404], f"status 404.*no such workspace, project or version.*universe.roboflow.com.*{NAME}", 1),
        ([402], "status 402.*quota", 1),
        ([429] * 9, "status 429.*quota", 5),
        ([500] * 9, "status 500.*Check the network", 5),
        ([302], "status 302.*Check ROBOFLOW_API_URL", 1),
    ],
)
def test_images_failed_request_error_says_what_to_do(
    load: Load, failures: list[int], message: str, num_requests: int
) -> None:
    with RoboflowServer(failures=failures) as server, pytest.raises(UserError, match=f"(?s){message}"):
        load(server)
    assert len(server.requests) == num_requests


@pytest.mark.parametrize("status", [429, 503])
def test_images_retryable_status_is_retried(load: Load, status: int) -> None:
    with RoboflowServer(failures=[status]) as server:
        assert summarize(load(server)) == SUMMARY


def test_images_unknown_project_error_names_it(load: Load) -> None:
    with RoboflowServer() as server, pytest.raises(UserError, match=r"someone/other version 3 .*status 404"):
        load(server, project="other")


def test_images_slow_export_is_an_error(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roboflow, "MAX_EXPORT_SECONDS", 15.0)
    with (
        RoboflowServer(progress=[0.2] * 9) as server,
        pytest.raises(UserError, match=r"not ready within 0.25 minutes; run again later"),
    ):
        load(server)
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    "response", [{}, [], "text", {"export": {}}, {"export": {"link": 3}}, {"export": {"link": "file:///x"}}]
)
def test_images_response_without_a_link_is_an_error(load: Load, response: Any) -> None:
    with RoboflowServer(response=response) as server, pytest.raises(UserError, match="neither a link nor progress"):
        load(server)


def test_images_broken_connection_requests_only_the_missing_bytes(load: Load) -> None:
    large = make_zip(make_members(FOLDERS), ("LICENSE.txt", random.Random(0).randbytes(1 << 20)))
    with RoboflowServer(large, cut=len(large) - 1000) as server:
        assert summarize(load(server)) == SUMMARY
    first, second = server.downloads
    assert first == ""
    assert len(large) - 2**18 - 1000 <= int(second.strip("bytes=-")) < len(large)  # at most one chunk is lost


def test_images_expired_url_is_replaced_by_the_next_run(load: Load) -> None:
    with RoboflowServer() as server:
        server.expired = True
        with pytest.raises(UserError, match=r"the storage responded with HTTP status 403 .*Run again"):
            load(server)
        server.expired = False
        assert summarize(load(server)) == SUMMARY


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html>Please sign in</html>", r"sent a web page \(HTML\)"),
        (b"something else", "a file of another type"),
        (EXPORT[:-30], "zip archive that cannot be read .*file discarded"),
        (EXPORT.replace(make_content("a.jpg")[:9], b"wrongggg."), "member train/a.jpg is corrupted"),
    ],
)
def test_images_invalid_archive_is_discarded(load: Load, tmp_path: Path, content: bytes, message: str) -> None:
    with RoboflowServer(content) as server:
        with pytest.raises(UserError, match=message):
            load(server)
        assert not list(tmp_path.rglob("*.zip"))
        server.export = EXPORT
        assert summarize(load(server)) == SUMMARY


def test_images_unwritable_folder_is_an_error(load: Load, tmp_path: Path) -> None:
    (tmp_path / "scratch").write_text("in the way")
    with RoboflowServer() as server, pytest.raises(UserError, match="cannot be written"):
        load(server)
