"""Downloading a file over HTTP: resumed, retried, checked, one process at a time."""

import email.utils
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
import urllib3
from filelock import FileLock
from tqdm import tqdm

from brain_tumor.errors import UserError
from brain_tumor.outputs import remove

log = logging.getLogger(__name__)

WAITS = (1.0, 4.0, 16.0, 30.0)  # seconds before each further attempt
LONGEST_WAIT = 120.0  # what a service may ask for by Retry-After
TIMEOUT = (20, 60)  # seconds to connect, and between two pieces of a body
PASSING = (408, 425, 429, 500, 502, 503, 504)
CHUNK = 2**12


class RefusedError(Exception):
    """The service answered, and further attempts are no use: `status` is its HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"answered with HTTP status {status}")
        self.status = status


class Expected(NamedTuple):
    """What is known of a file beforehand: its size in bytes, MD5, and first bytes; None and '' check nothing.

    `check` looks at the file itself, and says what is wrong with it, or ''.
    """

    size: int | None = None
    md5: str = ""
    magic: bytes = b""
    check: Callable[[Path], str] = lambda path: ""


class UnansweredError(UserError):
    """No attempt succeeded, though the trouble looked passing: `status` is the last HTTP status, None without one."""

    def __init__(self, message: str, status: int | None) -> None:
        super().__init__(message)
        self.status = status


class PassingError(Exception):
    """A failure that may pass: `problem` follows "the service", `status` and `wait` (seconds) as it gave them."""

    def __init__(self, problem: str, status: int | None = None, wait: float | None = None) -> None:
        super().__init__(problem)
        self.status, self.wait = status, wait


def service(variable: str, default: str) -> str:
    """The address of a service, without a slash at its end: what the environment says, or the real one."""
    return (os.environ.get(variable) or default).rstrip("/")


def get_json(url: str, headers: Mapping[str, str], what: str) -> Any:
    """GET a JSON document.

    Raises:
        RefusedError: a status from 300 that does not pass.
        UserError: no answer, or no JSON.
    """

    def ask() -> Any:
        with _get(url, headers, allow_redirects=False) as answer:
            require_success(answer)
            return answer.json()

    return persistently(ask, what)


def download(url: str, target: Path, expected: Expected, what: str) -> Path:
    """Download `url` to `target` unless it is there; what breaks off is resumed, now or by the next run.

    Bytes gather in `<target>.partial`; only the missing ones are asked for, if the service still has the same
    file (`If-Range`). Another process that wants the same file waits for this one. No credentials are sent,
    and the address is never shown: it may be signed.

    Raises:
        RefusedError: a status that does not pass, as 404.
        UserError: no connection, or a file that is not what was expected; it names `what`.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if target.exists():
                return target
            draft, notes = Path(f"{target}.partial"), Path(f"{target}.partial.json")
            persistently(lambda: _fetch_rest(url, draft, notes, what), what)
            if flaw := _flaw(draft, expected):
                remove(draft)
                remove(notes)
                raise UserError(f"{what}: {urlsplit(url).hostname} sent {flaw}; it was thrown away, so run again")
            draft.replace(target)
            remove(notes)
    except OSError as error:
        raise UserError(f"{error.filename or target} cannot be written: {error.strerror}") from None
    return target


def persistently(action: Callable[[], Any], what: str) -> Any:
    """Call `action`, and again after failures that may pass, after ever longer waits or that of `Retry-After`.

    Raises:
        UnansweredError: the last attempt failed like those before.
        UserError: an answer that no further attempt would change. Other errors of `action` come through.
    """
    for wait in (*WAITS, None):
        try:
            return action()
        except PassingError as failure:
            problem, status, asked = str(failure), failure.status, failure.wait
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            problem, status, asked = f"could not be reached, or broke off ({type(error).__name__})", None, None
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError, RecursionError) as error:
            # Its text would hold the address. Odd addresses and odd JSON are ValueErrors.
            raise UserError(f"{what}: the service gave no usable answer ({type(error).__name__})") from None
        if wait is None:
            break
        wait = min(max(wait, asked or 0.0), LONGEST_WAIT)
        log.warning("%s: the service %s; trying again in %g s", what, problem, wait)
        time.sleep(wait)
    raise UnansweredError(f"{what}: the service {problem}. Check the network (proxy, firewall) and run again", status)


def require_success(answer: requests.Response) -> None:
    """Raise a PassingError or a RefusedError unless the status of an answer is one of success."""
    status = answer.status_code
    if status in PASSING:
        asked = _retry_after(answer.headers.get("Retry-After", ""))
        raise PassingError(f"answered with HTTP status {status}", status, asked)
    if not 200 <= status < 300:
        raise RefusedError(status)


def _retry_after(text: str) -> float | None:
    """Seconds that a `Retry-After` header asks to wait, from a number or a date; None if it says nothing."""
    if _is_number(text):
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16


class _Session(requests.Session):
    """Sends no login from ~/.netrc: it would take the place of a service's own key, or go to a stranger."""

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        if self.should_strip_auth(str(response.request.url), str(prepared_request.url)):
            prepared_request.headers.pop("Authorization", None)


def _get(url: str, headers: Mapping[str, str], **options: Any) -> requests.Response:
    session = _Session()
    return session.get(url, headers=dict(headers), timeout=TIMEOUT, auth=lambda request: request, **options)


def _fetch_rest(url: str, draft: Path, notes: Path, what: str) -> None:
    """Append what is missing of the file to `draft`; `notes` says which file the bytes there belong to."""
    known = _read_notes(notes) if draft.exists() else _Notes("", None)
    done = draft.stat().st_size if known.tag or known.size else 0
    if done and done == known.size:
        return
    headers = {"Accept-Encoding": "identity"}
    if done and known.tag:
        headers |= {"Range": f"bytes={done}-", "If-Range": known.tag}
    with _get(url, headers, stream=True) as answer:
        if answer.status_code == 416:  # the file there is another one now, and shorter
            remove(draft)
            raise PassingError("answered with HTTP status 416", 416)
        require_success(answer)
        if answer.status_code != 206:
            done = 0
        elif not answer.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
            remove(draft)
            raise PassingError("sent another part of the file than it was asked for")
        length = answer.headers.get("Content-Length", "")
        size = done + int(length) if _is_number(length) else None
        tag = answer.headers.get("ETag", "")
        if not done:  # first of all: old bytes must never stand beside new notes
            remove(draft)
        # A weak tag does not promise the same bytes.
        _write_notes(notes, _Notes("" if tag.startswith("W/") else tag, size))
        bar = tqdm(total=size, initial=done, desc=what, unit="B", unit_scale=True, mininterval=1.0, dynamic_ncols=True)
        with draft.open("ab") as file, bar:
            # Small pieces: what has come of one when the line breaks is lost.
            for piece in answer.iter_content(CHUNK):
                file.write(piece)
                bar.update(len(piece))
        if size is not None and draft.stat().st_size < size:
            raise requests.ConnectionError("the body broke off")


class _Notes(NamedTuple):
    """Which file the bytes of a draft belong to: its strong ETag ('' without) and its size."""

    tag: str
    size: int | None


def _read_notes(path: Path) -> _Notes:
    try:
        return _Notes(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):  # none, or half written: the draft is of no use
        return _Notes("", None)


def _write_notes(path: Path, notes: _Notes) -> None:
    draft = Path(f"{path}.draft")
    draft.write_text(json.dumps(notes._asdict()))
    draft.replace(path)


def _flaw(path: Path, expected: Expected) -> str:
    """Say what a downloaded file is instead of what was expected, or ''."""
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
                return "other contents than its MD5 promises"
    return expected.check(path)


def is_web_page(path: Path) -> bool:
    """Whether a file is HTML, as the login page of a hotel's network is, or a service's page of regret."""
    with path.open("rb") as file:
        return file.read(1024).lstrip().lower().startswith((b"<!doctype html", b"<html"))
