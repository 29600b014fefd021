"""Downloading pretrained weights from the Hugging Face hub at one commit; every error message gives the next step."""

import hashlib
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import constants, hf_hub_download, set_client_factory
from huggingface_hub.errors import RemoteEntryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils._http import default_client_factory

from brain_tumor.core.errors import UserError
from brain_tumor.core.outputs import atomic_outputs

log = logging.getLogger(__name__)

SERVICE_URL = "https://huggingface.co"
RESPONSE_SECONDS = 120.0  # until a server responds, and for each WINDOW_BYTES of a file
WINDOW_BYTES = 2**16
MAX_BYTES = 2**33  # 8 GiB, of a file of weights
POLL_SECONDS = 0.2
# Headers that become names in the client's cache, and what they must be; they may be missing.
CACHE_HEADERS = {
    "ETag": r'(W/)?"?[0-9A-Za-z_-]*"?',
    "X-Linked-ETag": r'(W/)?"?[0-9a-f]*"?',
    "X-Repo-Commit": "([0-9a-f]{40})?",
}


def fetch_weights(repo: str, revision: str, filename: str, folder: Path, sha256: str = "") -> Path:
    """Copy one file of a model repository from the hub or its local cache to a folder.

    A file in the cache is copied without any request. There is no fallback: either exactly this file is copied, or an
    error is raised. A server, also a mirror named by HF_ENDPOINT, is given up if it does not respond within
    RESPONSE_SECONDS, sends less than WINDOW_BYTES in that time, or more than MAX_BYTES in all.

    Args:
        repo: `owner/name` of the model repository.
        revision: the commit, 40 hex digits; a branch or a tag could move.
        filename: path of the file in the repository, such as `model.safetensors`.
        folder: folder of the copy; created if it does not exist.
        sha256: SHA-256 of the file, hexadecimal; '' is not checked.

    Returns:
        Path of the copy.

    Raises:
        UserError: not a commit, no access, no such file, or no network; the message gives the next step.
    """
    if not re.fullmatch("[0-9a-f]{40}", revision):
        raise UserError(
            f"revision '{revision}' of {repo} is not a commit: a branch or tag can move. Give the 40 hex "
            f"digits of a commit from {SERVICE_URL}/{repo}/commits/main"
        )
    constants.HF_HUB_DISABLE_TELEMETRY = True
    constants.HF_HUB_DISABLE_XET = True  # another protocol, with files in many parts
    # Their log lines contain whole URLs, with the signature of a download or the password of a mirror.
    for name in ("huggingface_hub", "httpx", "httpx2"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # The library reads HF_ENDPOINT only when it is imported.
    endpoint = (os.environ.get("HF_ENDPOINT") or SERVICE_URL).rstrip("/")
    try:
        cached = _download(repo, filename, revision, endpoint)
    except HostileServerError as error:
        problem = f"{_host(endpoint)} {error}: set another HF_ENDPOINT"
    except Exception as error:  # four libraries are involved, each with its own exceptions
        problem = _describe_error(error, repo, revision, filename, endpoint)
    else:
        # The folder in the cache is named after the commit that the server reported.
        problem = "" if revision in cached.parts else f"{_host(endpoint)} sent another commit: set another HF_ENDPOINT"
    if problem:
        raise UserError(f"{filename} of {repo} at commit {revision}: {problem}")
    with cached.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 and digest != sha256:
        raise UserError(
            f"{filename} of {repo} at commit {revision}: {cached} has the SHA-256 {digest}, but params.yaml expects "
            f"{sha256}: delete the file and download it again, or correct `weights.sha256`"
        )
    with atomic_outputs(folder / Path(filename).name) as (tmp_path,):
        shutil.copyfile(cached, tmp_path)
    return folder / Path(filename).name


class HostileServerError(Exception):
    """A response that no server of the hub sends."""


class _Progress:
    """Bytes that have arrived, and the time when the last WINDOW_BYTES of them had; read by another thread."""

    def __init__(self) -> None:
        self.total = self._counted = 0
        self.time = time.monotonic()

    def add(self, count: int) -> None:
        """Count bytes.

        Raises:
            HostileServerError: there are more than MAX_BYTES.
        """
        self.total += count
        if self.total > MAX_BYTES:
            raise HostileServerError(f"sent more than {MAX_BYTES:,} bytes")
        if self.total - self._counted >= WINDOW_BYTES:
            self._counted, self.time = self.total, time.monotonic()


class _CountedStream(httpx2.SyncByteStream):
    """The body of a response; its bytes are counted when they arrive."""

    def __init__(self, stream: Any, progress: _Progress) -> None:
        self._stream, self._progress = stream, progress

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            self._progress.add(len(chunk))
            yield chunk

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()


def _download(repo: str, filename: str, revision: str, endpoint: str) -> Path:
    """Download a file with the hub's client, in a thread that is left alone when the server is too slow.

    The client's own timeouts start again with each byte, header or `100 Continue`.
    """
    progress = _Progress()

    def check(response: Any) -> None:
        # The client takes these values of a HEAD request for names in its cache: `../` would lead anywhere.
        for header, pattern in (CACHE_HEADERS if response.request.method == "HEAD" else {}).items():
            if not re.fullmatch(pattern, response.headers.get(header, "")):
                raise HostileServerError(f"sent a header {header} that is not the name of a file or a commit")
        response.stream = _CountedStream(response.stream, progress)

    def make_client() -> httpx2.Client:
        client = default_client_factory()
        client.event_hooks["response"].append(check)
        return client

    set_client_factory(make_client)
    results: SimpleQueue[Path | Exception] = SimpleQueue()

    def work() -> None:
        try:
            results.put(Path(hf_hub_download(repo, filename, revision=revision, endpoint=endpoint)))
        except Exception as error:
            results.put(error)

    Thread(target=work, daemon=True).start()
    while True:
        try:
            result = results.get(timeout=POLL_SECONDS)
        except Empty:
            if time.monotonic() - progress.time > RESPONSE_SECONDS:
                problem = f"sent less than {WINDOW_BYTES:,} bytes in {RESPONSE_SECONDS:g} s"
                raise HostileServerError(problem) from None
            continue
        if isinstance(result, Exception):
            raise result
        return result


def _describe_error(error: Exception, repo: str, revision: str, filename: str, endpoint: str) -> str:
    """Describe a failed download and what to do, without the URLs in the text of the exception."""
    # The library raises "not found in the cache"; the exception of the request is its cause.
    cause = error.__cause__ or error
    status = getattr(getattr(cause, "response", None), "status_code", None)
    if status in (401, 403):
        return (
            f"{_host(endpoint)} denied access (HTTP status {status}): the repository is gated or private, "
            f"or does not exist. Check the name, accept the terms at {SERVICE_URL}/{repo}, and set "
            "HF_TOKEN to a token with read access, or run `hf auth login`; replace a token that has expired"
        )
    if status == 404:
        missing = "repository"
        if isinstance(error, RevisionNotFoundError):
            missing = "commit"
        elif isinstance(error, RemoteEntryNotFoundError):
            missing = "file"
        return f"{_host(endpoint)} has no such {missing}: compare the name with {SERVICE_URL}/{repo}/tree/{revision}"
    reason = f"HTTP status {status}" if status else type(cause).__name__
    cache = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"
    return (
        f"not in the cache, and the download from {_host(endpoint)} failed ({reason}). Check the network and that "
        "HF_HUB_OFFLINE is not set; or set HF_ENDPOINT to a mirror of the hub; or run\n"
        f"  hf download {repo} {filename} --revision {revision}\n"
        f"on another machine and copy the folder of the same name from its cache to {cache}"
    )


def _host(endpoint: str) -> str:
    """Return the host only: a URL may contain a password."""
    return urlsplit(endpoint).hostname or "HF_ENDPOINT"
