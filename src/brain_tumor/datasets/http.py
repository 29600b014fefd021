"""Downloading files over HTTP: resumed after a broken connection, retried, validated, one process at a time."""

import email.utils
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from filelock import FileLock
from tqdm import tqdm

from brain_tumor.core.errors import UserError
from brain_tumor.core.outputs import remove
from brain_tumor.datasets.http_limits import MAX_JSON_BYTES, LimitedAdapter, Limits, SlowServiceError, TooLargeError

log = logging.getLogger(__name__)
T = TypeVar("T")

RETRY_WAIT_SECONDS = (1.0, 4.0, 16.0, 30.0)  # before each further attempt
MAX_WAIT_SECONDS = 120.0  # limit for what a service may request by Retry-After
RETRYABLE_STATUS = (408, 425, 429, 500, 502, 503, 504)
CHUNK_BYTES = 2**12  # small, since the chunk that is being read when a connection breaks is lost
MAX_FILE_BYTES = 2**33  # 8 GiB, of a file without an expected size
# A JSON document has 60 s in all: no window is ever complete.
JSON_LIMITS = Limits(response_seconds=60, window_bytes=2**23, window_seconds=60, max_bytes=MAX_JSON_BYTES)
FILE_LIMITS = Limits(response_seconds=120, window_bytes=2**16, window_seconds=60, max_bytes=MAX_FILE_BYTES)


class HttpStatusError(Exception):
    """The service responded with an HTTP status that is not worth a retry.

    Attributes:
        status: the HTTP status.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"responded with HTTP status {status}")
        self.status = status


class RetriesExhaustedError(UserError):
    """All attempts failed with transient errors.

    Attributes:
        status: HTTP status of the last response, None if there was no response.
    """

    def __init__(self, message: str, status: int | None) -> None:
        super().__init__(message)
        self.status = status


class TransientError(Exception):
    """A failure that is worth a retry.

    Attributes:
        status: HTTP status of the response, None if there was no response.
        wait_seconds: requested by the service, None if it requested no wait.
    """

    def __init__(self, problem: str, status: int | None = None, wait_seconds: float | None = None) -> None:
        super().__init__(problem)
        self.status, self.wait_seconds = status, wait_seconds


class ExpectedFile(NamedTuple):
    """Properties that a downloaded file must have.

    Attributes:
        size: size in bytes; None is not checked.
        md5: hexadecimal; '' is not checked.
        magic: the first bytes of the file.
        validate: returns what is wrong with the file at a path, '' if nothing.
    """

    size: int | None = None
    md5: str = ""
    magic: bytes = b""
    validate: Callable[[Path], str] = lambda path: ""


def service_url(variable: str, default: str) -> str:
    """Return the base URL of a service without a trailing slash: the environment variable if set, else the default."""
    return (os.environ.get(variable) or default).rstrip("/")


def get_json(url: str, headers: Mapping[str, str], name: str) -> Any:
    """GET a JSON document.

    Args:
        url: never part of a message, since it may contain credentials.
        headers: sent to this URL; redirects are not followed.
        name: name of the document in messages.

    Raises:
        HttpStatusError: a status other than 2xx that is not worth a retry.
        UserError: no response, or a response that is not JSON or exceeds JSON_LIMITS.
    """

    def request() -> Any:
        with _get(url, headers, JSON_LIMITS, allow_redirects=False) as response:
            require_success(response)
            return json.loads(b"".join(response.iter_content(CHUNK_BYTES)))

    return with_retries(request, name)


def download(url: str, target: Path, expected: ExpectedFile, name: str) -> Path:
    """Download a file unless it exists already; a broken download is resumed, by a retry or by the next run.

    Bytes are collected in `<target>.partial`. Only the missing ones are requested, if the service still has the same
    file (`If-Range`). A second process that wants the same file waits for the first one. No credentials are sent.

    Args:
        url: never part of a message, since it may be signed.
        target: path of the file.
        expected: a file without these properties is deleted; one that gets larger is given up at once. A file of
            unknown size may have MAX_FILE_BYTES, and no file may be slower than FILE_LIMITS.
        name: name of the file in messages.

    Returns:
        `target`.

    Raises:
        HttpStatusError: a status that is not worth a retry, such as 404.
        UserError: no connection, a file without the expected properties, or a folder that cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if target.exists():
                return target
            tmp_path, state_path = Path(f"{target}.partial"), Path(f"{target}.partial.json")
            with_retries(lambda: _resume_download(url, tmp_path, state_path, expected, name), name)
            if problem := _validate_download(tmp_path, expected):
                remove(tmp_path)
                remove(state_path)
                raise UserError(f"{name}: {urlsplit(url).hostname} sent {problem}; file discarded, run again")
            tmp_path.replace(target)
            remove(state_path)
    except OSError as error:
        raise UserError(f"{error.filename or target} cannot be written: {error.strerror}") from None
    return target


def with_retries(action: Callable[[], T], name: str) -> T:
    """Call `action`, and call it again after transient failures.

    The wait before each retry is that of RETRY_WAIT_SECONDS, or the one requested by the service if that is longer.

    Args:
        action: raises TransientError, or an exception of requests.
        name: name in messages of what is requested.

    Raises:
        RetriesExhaustedError: the last attempt failed with a transient error, too.
        UserError: a response that no retry would change. Other exceptions of `action` are passed on.
    """
    for wait in (*RETRY_WAIT_SECONDS, None):
        try:
            return action()
        except TransientError as error:
            failure = error
        except SlowServiceError as error:
            failure = TransientError(str(error))
        except TooLargeError as error:
            raise UserError(f"{name}: the service {error}") from None
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            failure = TransientError(f"could not be reached, or the connection broke ({type(error).__name__})")
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError, RecursionError) as error:
            # The exception's own text is left out, since it contains the URL. Invalid URLs and JSON are ValueErrors.
            raise UserError(f"{name}: the service sent an invalid response ({type(error).__name__})") from None
        if wait is None:
            break
        wait = min(max(wait, failure.wait_seconds or 0.0), MAX_WAIT_SECONDS)
        log.warning("%s: the service %s; retrying in %g s", name, failure, wait)
        time.sleep(wait)
    problem = f"{name}: the service {failure}; gave up after {len(RETRY_WAIT_SECONDS) + 1} attempts"
    raise RetriesExhaustedError(f"{problem}. Check the network (proxy, firewall) and run again", failure.status)


def require_success(response: requests.Response) -> None:
    """Raise a TransientError or an HttpStatusError unless the status of a response is 2xx."""
    status = response.status_code
    if status in RETRYABLE_STATUS:
        wait = _parse_retry_after(response.headers.get("Retry-After", ""))
        raise TransientError(f"responded with HTTP status {status}", status, wait)
    if not 200 <= status < 300:
        raise HttpStatusError(status)


def is_web_page(path: Path) -> bool:
    """Return whether a file is HTML: captive portals and error pages are sent in place of a file."""
    with path.open("rb") as file:
        return file.read(1024).lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _parse_retry_after(text: str) -> float | None:
    """Return the seconds to wait from a `Retry-After` header, a number or a date; None for anything else."""
    if _is_number(text):
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16


class _Session(requests.Session):
    """Ignores logins from ~/.netrc: they would replace the key of a service, or leak to another host."""

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        if self.should_strip_auth(str(response.request.url), str(prepared_request.url)):
            prepared_request.headers.pop("Authorization", None)


def _get(url: str, headers: Mapping[str, str], limits: Limits, **options: Any) -> requests.Response:
    session = _Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, LimitedAdapter(limits))
    return session.get(url, headers=dict(headers), auth=lambda request: request, stream=True, **options)


class _DownloadState(NamedTuple):
    """Identity of the file that a partial download belongs to.

    Attributes:
        etag: strong ETag, '' if the service sent none.
        size: size in bytes, None if the service sent none.
    """

    etag: str
    size: int | None


UNKNOWN_FILE = _DownloadState("", None)


def _resume_download(url: str, tmp_path: Path, state_path: Path, expected: ExpectedFile, name: str) -> None:
    """Request the bytes of a file that are missing in `tmp_path` and append them; return when it is complete.

    Raises:
        TransientError, HttpStatusError, requests.RequestException: the file is not complete. What has arrived is kept
            unless it belongs to another file.
    """
    state = _read_state(state_path) if tmp_path.exists() else UNKNOWN_FILE
    offset = tmp_path.stat().st_size if state.etag or state.size else 0
    if offset and offset == state.size:
        return
    max_bytes = MAX_FILE_BYTES if expected.size is None else expected.size
    with _get(url, _range_headers(offset, state.etag), FILE_LIMITS._replace(max_bytes=max_bytes)) as response:
        if response.status_code == 416:  # the service has another, shorter file now
            remove(tmp_path)
            raise TransientError("responded with HTTP status 416", 416)
        require_success(response)
        if response.status_code != 206:
            offset = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
            remove(tmp_path)
            raise TransientError("sent another part of the file than requested")
        if not offset:  # before the state is written: old bytes must never be paired with a new state
            remove(tmp_path)
        state = _parse_state(response, offset)
        if (state.size or 0) > max_bytes:
            raise TooLargeError(f"would send {state.size:,} bytes, more than {max_bytes:,}")
        _write_state(state_path, state)
        try:
            _append_body(response, tmp_path, state.size, name)
        except TooLargeError:
            remove(tmp_path)
            raise
    if state.size is not None and tmp_path.stat().st_size < state.size:
        raise requests.ConnectionError("the body is incomplete")


def _range_headers(offset: int, etag: str) -> dict[str, str]:
    """Return request headers for the part of a file from `offset` on, if the file still has this ETag."""
    headers = {"Accept-Encoding": "identity"}
    if offset and etag:
        headers |= {"Range": f"bytes={offset}-", "If-Range": etag}
    return headers


def _parse_state(response: requests.Response, offset: int) -> _DownloadState:
    """Return the identity of the file that a response sends from `offset` on."""
    length, etag = response.headers.get("Content-Length", ""), response.headers.get("ETag", "")
    size = offset + int(length) if _is_number(length) else None
    # A weak ETag does not guarantee the same bytes.
    return _DownloadState("" if etag.startswith("W/") else etag, size)


def _append_body(response: requests.Response, path: Path, size: int | None, name: str) -> None:
    """Append the body of a response to a file of finally `size` bytes, with a progress bar."""
    with (
        path.open("ab") as file,
        tqdm(
            total=size, initial=file.tell(), desc=name, unit="B", unit_scale=True, mininterval=1.0, dynamic_ncols=True
        ) as bar,
    ):
        for chunk in response.iter_content(CHUNK_BYTES):
            file.write(chunk)
            bar.update(len(chunk))


def _read_state(path: Path) -> _DownloadState:
    try:
        return _DownloadState(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):  # missing or incomplete: the partial download cannot be used
        return UNKNOWN_FILE


def _write_state(path: Path, state: _DownloadState) -> None:
    tmp_path = Path(f"{path}.tmp")
    tmp_path.write_text(json.dumps(state._asdict()))
    tmp_path.replace(path)


def _validate_download(path: Path, expected: ExpectedFile) -> str:
    """Return what is wrong with a downloaded file, '' if nothing."""
    if is_web_page(path):
        return "a web page (HTML) instead of the file"
    with path.open("rb") as file:
        if not file.read(len(expected.magic)).startswith(expected.magic):
            return "a file of another type than expected"
    size = path.stat().st_size
    if expected.size is not None and size != expected.size:
        return f"{size:,} bytes instead of {expected.size:,}"
    if expected.md5:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "md5").hexdigest() != expected.md5:
                return "a file whose MD5 is not the expected one"
    return expected.validate(path)
