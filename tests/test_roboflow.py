"""Roboflow's interface, asked on a loopback server."""

import logging
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from roboflow_service import (
    ASKED,
    EXPORT,
    FOLDERS,
    FOUND,
    NAME,
    SECRET,
    SETTINGS,
    SOURCE,
    RoboflowServer,
    content_of,
    make_zip,
    members,
    summary,
)
from servers import SIGNATURE, Server, run_clean

from brain_tumor.archive import RawImage
from brain_tumor.errors import UserError
from brain_tumor.sources import roboflow


@pytest.fixture(autouse=True)
def leaks_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[None]:
    """Waits shrink to a hundredth; neither the key nor a signed address is logged, printed or written."""
    for name in ("DATA_ARCHIVES", "ROBOFLOW_API_KEY", "ROBOFLOW_API_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(seconds / 100))
    caplog.set_level(logging.DEBUG)
    yield
    said = "\n".join([*(record.getMessage() for record in caplog.get_records("call")), *capfd.readouterr()])
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for word in (SECRET, SIGNATURE):
        assert word not in said
        assert word.encode() not in written


Load = Callable[..., list[RawImage]]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return a function that loads the data set from a server, with the planted key."""

    def loaded(server: Server, key: str = SECRET, **changes: Any) -> list[RawImage]:
        monkeypatch.setenv("ROBOFLOW_API_URL", server.url)
        monkeypatch.setenv("ROBOFLOW_API_KEY", key)
        try:
            return list(roboflow.images(SOURCE.model_copy(update=changes), tmp_path / "scratch"))
        except UserError as error:
            if SECRET in str(error) or SIGNATURE in str(error):
                pytest.fail("the error shows the key or a signed address")
            raise

    return loaded


def test_export_is_awaited_downloaded_once_and_read(
    load: Load, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with RoboflowServer(progress=[0, 0.4, 2]) as server:
        images = load(server)
        asked = [seen.path for seen in server.seen]
        again = load(server, key="")
    assert summary(images) == FOUND
    assert images[1].content == content_of("a.jpg")
    assert images == again
    assert asked == [ASKED] * 4 + ["/storage/export.zip"] == [seen.path for seen in server.seen]
    assert not server.seen[-1].authorization
    home = tmp_path / "scratch" / "roboflow-someone-brain-tumors-v3"
    assert (home / NAME).read_bytes() == EXPORT
    # Nothing of the zip is unpacked.
    assert {path.suffix for path in home.iterdir()} <= {".zip", ".lock"}
    assert "images with only such boxes, left out: 1" in caplog.text
    assert "boxes of categories without a label, ignored: 2" in caplog.text
    assert "images without boxes, labeled notumor: 1" in caplog.text


def test_clean_process_with_debug_logging_shows_no_address(tmp_path: Path) -> None:
    code = f"""
logging.getLogger().setLevel(logging.DEBUG)
from brain_tumor import archive
from brain_tumor.sources.roboflow import Source, images
archive.write(Path("out.zip"), images(Source.model_validate({SETTINGS!r}), Path("scratch")))
"""
    with RoboflowServer(progress=[0.5], cut=5000) as server:
        result = run_clean(code, tmp_path, ROBOFLOW_API_URL=server.url, ROBOFLOW_API_KEY=SECRET)
    assert result.returncode == 0, result.stderr
    assert "could not be reached, or broke off" in result.stderr
    assert SECRET not in result.stdout + result.stderr
    assert SIGNATURE not in result.stdout + result.stderr


def test_key_is_sent_to_the_service_in_a_header_and_to_nobody_else(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ~/.netrc holds: it would take the key's place, and reach the storage too."""
    (tmp_path / "netrc").write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with RoboflowServer(progress=[0.1]) as server:
        assert summary(load(server)) == FOUND
    assert [seen.authorization for seen in server.seen] == [f"Bearer {SECRET}", f"Bearer {SECRET}", ""]


def test_archive_on_disk_needs_neither_key_nor_network(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / NAME).write_bytes(EXPORT)
    monkeypatch.setenv("DATA_ARCHIVES", str(tmp_path))
    with RoboflowServer() as server:
        assert summary(load(server, key="")) == FOUND
    assert server.seen == []
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize("key", ["", " \n", "rf_planted0secret x", "rf_plänted"])
def test_without_a_usable_key_says_how_to_get_one(load: Load, key: str) -> None:
    with RoboflowServer() as server, pytest.raises(UserError) as caught:
        load(server, key=key)
    for word in ("ROBOFLOW_API_KEY", "https://app.roboflow.com/settings/api", "DATA_ARCHIVES=", NAME):
        assert word in str(caught.value)
    assert server.seen == []


@pytest.mark.parametrize(
    ("failures", "words", "asked"),
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
def test_refusals_say_what_to_do(load: Load, failures: list[int], words: str, asked: int) -> None:
    with RoboflowServer(failures=failures) as server, pytest.raises(UserError, match=f"(?s){words}"):
        load(server)
    assert len(server.seen) == asked


@pytest.mark.parametrize("status", [429, 503])
def test_passing_failures_are_retried(load: Load, status: int) -> None:
    with RoboflowServer(failures=[status]) as server:
        assert summary(load(server)) == FOUND


def test_wrong_project_is_named(load: Load) -> None:
    with RoboflowServer() as server, pytest.raises(UserError, match=r"someone/other version 3 .*status 404"):
        load(server, project="other")


def test_export_that_takes_too_long_is_given_up(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roboflow, "PATIENCE", 15.0)
    with (
        RoboflowServer(progress=[0.2] * 9) as server,
        pytest.raises(UserError, match=r"not made within 0.25 minutes; run again later"),
    ):
        load(server)
    assert len(server.seen) == 4


@pytest.mark.parametrize(
    "answer", [{}, [], "text", {"export": {}}, {"export": {"link": 3}}, {"export": {"link": "file:///x"}}]
)
def test_answers_without_a_link_are_refused(load: Load, answer: Any) -> None:
    with RoboflowServer(answers=answer) as server, pytest.raises(UserError, match="neither a link nor progress"):
        load(server)


def test_broken_download_asks_for_the_missing_bytes_alone(load: Load) -> None:
    large = make_zip(members(FOLDERS), ("LICENSE.txt", random.Random(0).randbytes(1 << 20)))
    with RoboflowServer(large, cut=len(large) - 1000) as server:
        assert summary(load(server)) == FOUND
    first, second = server.downloads
    assert first == ""
    assert len(large) - 2**18 - 1000 <= int(second.strip("bytes=-")) < len(large)  # up to one chunk is lost


def test_expired_link_is_replaced_by_the_next_run(load: Load) -> None:
    with RoboflowServer() as server:
        server.expired = True
        with pytest.raises(UserError, match=r"the storage answered with HTTP status 403 .*Run again"):
            load(server)
        server.expired = False
        assert summary(load(server)) == FOUND


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"<!DOCTYPE html><html>Please sign in</html>", r"sent a web page \(HTML\)"),
        (b"something else", "a file of another type"),
        (EXPORT[:-30], "zip archive that cannot be read .*thrown away"),
        (EXPORT.replace(content_of("a.jpg")[:9], b"wrongggg."), "member train/a.jpg is damaged"),
    ],
)
def test_what_is_no_zip_is_thrown_away(load: Load, tmp_path: Path, sent: bytes, words: str) -> None:
    with RoboflowServer(sent) as server:
        with pytest.raises(UserError, match=words):
            load(server)
        assert not list(tmp_path.rglob("*.zip"))
        server.export = EXPORT
        assert summary(load(server)) == FOUND


def test_folder_that_cannot_be_written(load: Load, tmp_path: Path) -> None:
    (tmp_path / "scratch").write_text("in the way")
    with RoboflowServer() as server, pytest.raises(UserError, match="cannot be written"):
        load(server)
