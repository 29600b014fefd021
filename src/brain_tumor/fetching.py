"""Downloading a file over HTTP: resumed, retried, checked, one process at a time."""

import email.utils
import hashlib
import json
import logging
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
CHUNK = 2**18


class RefusedError(Exception):
    """The service answered, and further attempts are no use: `status` is its HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"answered with HTTP status {status}")
        self.status = status


class Expected(NamedTuple):
    """What is known of a file beforehand: its size in bytes, MD5, and first bytes; None and '' check nothing."""

    size: int | None = None
    md5: str = ""
    magic: bytes = b""


def get_json(url: str, headers: Mapping[str, str], what: str) -> tuple[int, Any]:
    """GET a JSON document; return the status (200 to 299) and the content.

    Raises:
        RefusedError: any other status that does not pass.
        UserError: no answer, or no JSON.
    """

    def ask() -> tuple[int, Any]:
        with requests.get(url, headers=dict(headers), timeout=TIMEOUT, allow_redirects=False) as answer:
            _require_success(answer)
            return answer.status_code, answer.json()

    result: tuple[int, Any] = persistently(ask, what)
    return result


def download(url: str, target: Path, expected: Expected, what: str) -> Path:
    """Download `url` to `target` unless it is there; what breaks off is resumed, now or by the next run.

    Bytes gather in `<target>.partial`; only the missing ones are asked for, if the service still has the same
    file (`If-Range`). Another process that wants the same file waits for this one. No credentials are sent,
    and the address is never shown: it may be signed.

    Raises:
        RefusedError: a status that does not pass, as 404.
        UserError: no connection, or a file that is not what was expected; it names `what`.
    """
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
    return target


def persistently(action: Callable[[], Any], what: str) -> Any:
    """Call `action`, and again after failures that may pass, after ever longer waits or that of `Retry-After`."""
    for wait in (*WAITS, None):
        try:
            return action()
        except _PassingError as failure:
            problem, asked = str(failure), failure.wait
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            problem, asked = f"could not be reached, or broke off ({type(error).__name__})", None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            # Its text would hold the address.
            raise UserError(f"{what}: the service gave no usable answer ({type(error).__name__})") from None
        if wait is None:
            break
        wait = min(max(wait, asked or 0.0), LONGEST_WAIT)
        log.warning("%s: the service %s; trying again in %g s", what, problem, wait)
        time.sleep(wait)
    raise UserError(f"{what}: the service {problem}. Check the network (proxy, firewall) and run again")


class _PassingError(Exception):
    def __init__(self, status: int, wait: float | None) -> None:
        super().__init__(f"answered with HTTP status {status}")
        self.wait = wait


def _require_success(answer: requests.Response) -> None:
    status = answer.status_code
    if status in PASSING:
        raise _PassingError(status, retry_after(answer.headers.get("Retry-After", "")))
    if not 200 <= status < 300:
        raise RefusedError(status)


def retry_after(text: str) -> float | None:
    """Seconds that a `Retry-After` header asks to wait, from a number or a date; None if it says nothing."""
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _fetch_rest(url: str, draft: Path, notes: Path, what: str) -> None:
    """Append what is missing of the file to `draft`; `notes` says which file the bytes there belong to."""
    known = json.loads(notes.read_text()) if draft.exists() and notes.exists() else {}
    done = draft.stat().st_size if known else 0
    if known and done == known["size"]:
        return
    headers = {"Accept-Encoding": "identity"}
    if done and known["tag"]:
        headers |= {"Range": f"bytes={done}-", "If-Range": known["tag"]}
    with requests.get(url, headers=headers, timeout=TIMEOUT, stream=True) as answer:
        if answer.status_code == 416:  # the file there is another one now, and shorter
            remove(draft)
            raise _PassingError(416, None)
        _require_success(answer)
        if answer.status_code != 206:
            done = 0
        length = answer.headers.get("Content-Length", "")
        size = done + int(length) if length.isdigit() else None
        tag = answer.headers.get("ETag", "")
        # A weak tag does not promise the same bytes.
        notes.write_text(json.dumps({"tag": "" if tag.startswith("W/") else tag, "size": size}))
        bar = tqdm(total=size, initial=done, desc=what, unit="B", unit_scale=True, mininterval=1.0, dynamic_ncols=True)
        with draft.open("ab" if done else "wb") as file, bar:
            for piece in answer.iter_content(CHUNK):
                file.write(piece)
                bar.update(len(piece))
        if size is not None and draft.stat().st_size < size:
            raise requests.ConnectionError("the body broke off")


def _flaw(path: Path, expected: Expected) -> str:
    """Say what a downloaded file is instead of what was expected, or ''."""
    with path.open("rb") as file:
        start = file.read(1024)
    if start.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "a web page (HTML) instead of the file"
    if not start.startswith(expected.magic):
        return "a file of another type than expected"
    size = path.stat().st_size
    if expected.size is not None and size != expected.size:
        return f"{size:,} bytes instead of {expected.size:,}"
    if expected.md5:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "md5").hexdigest() != expected.md5:
                return "other contents than its MD5 promises"
    return ""
