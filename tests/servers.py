"""Loopback servers with the protocols of Kaggle and the Hugging Face hub, and a clean process for their clients.

A server is a context manager; `url` is its address, `requests` what it received. Archives and weights are served from
"localhost" while the service is "127.0.0.1", so that clients treat them as another host, as in production.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple, Self

SIGNATURE = "5ecret51gnature"
SOURCES = Path(__file__).parents[1] / "src"

# Waits are divided by 100; everything else is as in a stage.
DRIVER = """
import logging, sys, time
from pathlib import Path
sleep = time.sleep
time.sleep = lambda seconds: sleep(seconds / 100)
logging.basicConfig(level=logging.INFO)
from brain_tumor.core.errors import UserError
try:
    exec(sys.argv[1])
except UserError as error:
    sys.exit(f"error: {error}")
"""


def run_clean(code: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python `code` in a process whose environment is HOME=`home` and `environment` only.

    A UserError ends it with its message on standard error and exit code 1, as in a stage.
    """
    clean = {"HOME": str(home), "PATH": os.defpath, "PYTHONPATH": str(SOURCES), **environment}
    command = [sys.executable, "-c", DRIVER, code]
    return subprocess.run(command, env=clean, cwd=home, capture_output=True, text=True, timeout=60, check=False)


class ReceivedRequest(NamedTuple):
    """A request: method, path without query, the headers Authorization and Range ('' if not sent)."""

    method: str
    path: str
    authorization: str
    range: str


class Server(ThreadingHTTPServer):
    """Serve on a free port of the loopback interface.

    Args:
        failures: status codes of the first responses, one each.
        cut: number of bytes after which the connection of the first file breaks.
    """

    daemon_threads = True

    def __init__(self, *, failures: Sequence[int] = (), cut: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.failures = list(failures)
        self.cut = cut
        self.requests: list[ReceivedRequest] = []
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.storage = f"http://localhost:{self.server_port}/storage"

    def __enter__(self) -> Self:
        Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *details: object) -> None:
        self.shutdown()
        self.server_close()

    def respond(self, request: "Handler", path: str, query: str, body: bytes) -> None:
        """Respond to one request."""
        raise NotImplementedError


class Handler(BaseHTTPRequestHandler):
    """Passes every request to `respond` of its server, and sends the response."""

    server: Server

    def handle_request(self) -> None:
        """Record the request and respond to it."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        header = self.headers.get
        self.server.requests.append(
            ReceivedRequest(self.command, path, header("Authorization") or "", header("Range") or "")
        )
        self.server.respond(self, path, query, body)

    do_GET = do_HEAD = do_POST = handle_request  # noqa: N815

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Send a response; underscores in names of headers are replaced by hyphens."""
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def reply_json(self, status: int, content: Any) -> None:
        """Send JSON."""
        self.reply(status, json.dumps(content).encode(), Content_Type="application/json")

    def reply_file(self, content: bytes, kind: str = "application/zip") -> None:
        """Send a file, or the rest of it for a Range whose If-Range matches."""
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(match[1]) if match and self.headers.get("If-Range", tag) == tag else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", tag)
        self.end_headers()
        end, self.server.cut = self.server.cut, None
        if self.command != "HEAD":
            self.wfile.write(content[start:end])

    def log_message(self, *details: object) -> None:
        """Log nothing."""


class KaggleServer(Server):
    """The download endpoint of Kaggle for the archives in `datasets`, keyed by `owner/slug` and version.

    Args:
        token: the only valid access token; '' accepts every request.
        html: send a web page instead of an archive.
        expiring: a signed URL is valid once.
    """

    def __init__(
        self,
        datasets: Mapping[tuple[str, int], bytes],
        *,
        token: str = "",
        html: bool = False,
        expiring: bool = False,
        failures: Sequence[int] = (),
        cut: int | None = None,
    ) -> None:
        super().__init__(failures=failures, cut=cut)
        self.datasets, self.token, self.html, self.expiring = datasets, token, html, expiring
        self.spent: set[str] = set()

    def respond(self, request: Handler, path: str, query: str, body: bytes) -> None:
        """Introspect a token, redirect to a signed URL, or send an archive from there."""
        if path == "/v1/security.OAuthService/IntrospectToken":
            active = json.loads(body)["token"] == self.token
            request.reply_json(200, {"active": active, "username": "tester"} if active else {})
        elif path == "/v1/datasets.DatasetApiService/DownloadDataset":
            fields = json.loads(body)
            handle = f"{fields['ownerSlug']}/{fields['datasetSlug']}"
            version = fields.get("datasetVersionNumber")
            bearer = request.headers.get("Authorization")
            status = 302
            if self.failures:
                status = self.failures.pop(0)
            elif self.token and bearer != f"Bearer {self.token}":
                status = 401
            elif (handle, version) not in self.datasets:
                status = 404
            if status != 302:
                request.reply_json(status, {"code": status, "message": "rejected"})
                return
            signed_url = f"{self.storage}/{handle}/{version}?X-Goog-Signature={SIGNATURE}{len(self.requests)}"
            request.reply(302, Location=signed_url)
        elif path.startswith("/storage/") and SIGNATURE in query and query not in self.spent:
            if self.expiring:
                self.spent.add(query)
            if self.html:
                request.reply_file(b"<!DOCTYPE html><html>Please sign in</html>", "text/html")
                return
            handle, version = path.removeprefix("/storage/").rsplit("/", 1)
            request.reply_file(self.datasets[handle, int(version)])
        else:
            request.reply(403, b"<Error>ExpiredToken</Error>", Content_Type="application/xml")


class HubServer(Server):
    """The hub's `resolve` endpoint for `files`, keyed by repository, commit and file name.

    Files are redirected to storage, as those under LFS are (weights always). If `gated` is a token, only requests with
    that token are accepted.
    """

    def __init__(
        self,
        files: Mapping[tuple[str, str, str], bytes],
        *,
        gated: str = "",
        failures: Sequence[int] = (),
        cut: int | None = None,
    ) -> None:
        super().__init__(failures=failures, cut=cut)
        self.files, self.gated = files, gated

    def respond(self, request: Handler, path: str, query: str, body: bytes) -> None:
        """Describe a file and redirect to storage, or send it from there."""
        if path.startswith("/storage/") and SIGNATURE in query:
            contents = {hashlib.sha256(content).hexdigest(): content for content in self.files.values()}
            request.reply_file(contents[path.removeprefix("/storage/")], "application/octet-stream")
            return
        match = re.fullmatch("/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if self.failures:
            request.reply(self.failures.pop(0))
        elif not match or match[1] not in {repo for repo, _, _ in self.files}:
            # The hub does not reveal to anonymous users whether a repository exists.
            request.reply(404 if request.headers.get("Authorization") else 401, X_Error_Code="RepoNotFound")
        elif self.gated and request.headers.get("Authorization") != f"Bearer {self.gated}":
            request.reply(403, X_Error_Code="GatedRepo")
        elif (match[1], match[2]) not in {(repo, commit) for repo, commit, _ in self.files}:
            request.reply(404, X_Error_Code="RevisionNotFound")
        elif (match[1], match[2], match[3]) not in self.files:
            request.reply(404, X_Error_Code="EntryNotFound", X_Repo_Commit=match[2])
        else:
            content = self.files[match[1], match[2], match[3]]
            digest = hashlib.sha256(content).hexdigest()
            request.reply(
                302,
                Location=f"{self.storage}/{digest}?Signature={SIGNATURE}",
                X_Repo_Commit=match[2],
                X_Linked_ETag=f'"{digest}"',
                X_Linked_Size=str(len(content)),
            )
