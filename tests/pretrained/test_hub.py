"""The hub's real client with a loopback server, in processes with a clean environment."""

import hashlib
import random
import socket
import subprocess
import time
from pathlib import Path

import pytest

from brain_tumor.core.errors import UserError
from brain_tumor.pretrained.hub import fetch_weights
from raw_server import ENDLESS, SLOW, Answer, RawServer, endless
from servers import SIGNATURE, Handler, HubServer, run_clean

REPO = "timm/some_model.in1k"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SECRET = "hf_test0secret"
WEIGHTS = random.Random(0).randbytes(100_000)
FILES = {(REPO, COMMIT, "model.safetensors"): WEIGHTS}


def fetch(
    url: str,
    home: Path,
    revision: str = COMMIT,
    repo: str = REPO,
    filename: str = "model.safetensors",
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Fetch to `home`/weights; neither credentials nor a signed URL may be printed, even after an error."""
    code = (
        "from brain_tumor.pretrained.hub import fetch_weights; "
        f"print(fetch_weights({repo!r}, {revision!r}, {filename!r}, Path('weights')).as_posix())"
    )
    result = run_clean(code, home, HF_ENDPOINT=url, **environment)
    output = result.stdout + result.stderr
    assert SIGNATURE not in output
    assert SECRET not in output
    assert "Traceback" not in output
    return result


def test_fetch_weights_file_is_copied_and_cached(tmp_path: Path) -> None:
    with HubServer(FILES) as server:
        first = fetch(server.url, tmp_path)
        num_requests = len(server.requests)
        (tmp_path / "weights" / "model.safetensors").unlink()
        second = fetch(server.url, tmp_path)
    assert first.stdout == second.stdout == "weights/model.safetensors\n"
    assert (tmp_path / "weights" / "model.safetensors").read_bytes() == WEIGHTS
    # One HEAD and one GET: no telemetry, and no request when the file is in the cache.
    assert [request.method for request in server.requests] == ["HEAD", "GET"]
    assert num_requests == 2
    assert {path.name for path in tmp_path.iterdir()} == {"weights", ".cache"}
    assert [path.name for path in (tmp_path / ".cache" / "huggingface").iterdir()] == ["hub"]


def test_fetch_weights_cached_file_needs_no_network(tmp_path: Path) -> None:
    commit = tmp_path / ".cache/huggingface/hub/models--timm--some_model.in1k/snapshots" / COMMIT
    commit.mkdir(parents=True)
    (commit / "model.safetensors").write_bytes(WEIGHTS)
    assert fetch("http://127.0.0.1:9", tmp_path, HF_HUB_OFFLINE="1").returncode == 0
    assert (tmp_path / "weights" / "model.safetensors").read_bytes() == WEIGHTS


def test_fetch_weights_endpoint_is_read_when_called(tmp_path: Path) -> None:
    """Other libraries may import the hub's client before HF_ENDPOINT is set."""
    with HubServer(FILES) as server:
        code = (
            "import os, huggingface_hub.constants; from brain_tumor.pretrained.hub import fetch_weights; "
            f"os.environ['HF_ENDPOINT'] = {server.url!r}; "
            f"fetch_weights({REPO!r}, {COMMIT!r}, 'model.safetensors', Path('weights'))"
        )
        assert run_clean(code, tmp_path).returncode == 0
    assert (tmp_path / "weights" / "model.safetensors").read_bytes() == WEIGHTS


def test_fetch_weights_broken_connection_and_outage_are_retried(tmp_path: Path) -> None:
    with HubServer(FILES, failures=[503, 503], cut=50_000) as server:
        assert fetch(server.url, tmp_path).returncode == 0
    assert (tmp_path / "weights" / "model.safetensors").read_bytes() == WEIGHTS


def test_fetch_weights_token_is_sent_to_the_hub_only(tmp_path: Path) -> None:
    with HubServer(FILES, gated=SECRET) as server:
        denied = fetch(server.url, tmp_path)
        assert fetch(server.url, tmp_path, HF_TOKEN=SECRET).returncode == 0
    assert denied.returncode == 1
    assert "denied access (HTTP status 403)" in denied.stderr
    assert "HF_TOKEN" in denied.stderr
    assert not any(request.authorization for request in server.requests if request.path.startswith("/storage/"))


def test_fetch_weights_wrong_token_error_has_status_and_advice(tmp_path: Path) -> None:
    with HubServer(FILES, gated="another", failures=[401]) as server:
        result = fetch(server.url, tmp_path, HF_TOKEN=SECRET)
    assert result.returncode == 1
    assert "status 401" in result.stderr
    assert "expired" in result.stderr


@pytest.mark.parametrize("revision", ["main", "v1.0", COMMIT[:12], COMMIT + "0", COMMIT.upper()])
def test_fetch_weights_revision_that_is_not_a_commit_is_rejected(tmp_path: Path, revision: str) -> None:
    with pytest.raises(UserError, match=f"'{revision}' of {REPO} is not a commit: .* 40 hex digits"):
        fetch_weights(REPO, revision, "model.safetensors", tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"revision": "f" * 40}, "no such commit"),
        ({"filename": "other.safetensors"}, "no such file"),
        ({"repo": "timm/other", "HF_TOKEN": SECRET}, "no such repository"),
        ({"repo": "timm/other"}, "or does not exist"),
    ],
)
def test_fetch_weights_missing_item_error_names_it(tmp_path: Path, change: dict[str, str], message: str) -> None:
    with HubServer(FILES) as server:
        result = fetch(server.url, tmp_path, **change)
    assert result.returncode == 1
    assert message in result.stderr
    assert not (tmp_path / "weights").exists()


def test_fetch_weights_invalid_repository_error_names_it(tmp_path: Path) -> None:
    result = fetch("http://127.0.0.1:9", tmp_path, repo="a/b/c")
    assert result.returncode == 1
    assert "a/b/c" in result.stderr


@pytest.mark.parametrize("offline", [{}, {"HF_HUB_OFFLINE": "1"}])
def test_fetch_weights_no_connection_error_says_how_to_copy_the_file(tmp_path: Path, offline: dict[str, str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://user:{SECRET}@127.0.0.1:{unused.getsockname()[1]}"
        result = fetch(url, tmp_path, HF_TOKEN=SECRET, **offline)
    assert result.returncode == 1
    for text in (
        "the download from 127.0.0.1 failed",
        "HF_ENDPOINT",
        "hf download",
        COMMIT,
        ".cache/huggingface/hub",
    ):
        assert text in result.stderr
    assert not (tmp_path / "weights").exists()


class Mirror(HubServer):
    """A mirror that sends its own headers instead of those of the hub, and the file without a redirect."""

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__(FILES)
        self.headers = headers

    def respond(self, request: Handler, path: str, query: str, body: bytes) -> None:
        """Send the file with the headers."""
        headers = {"X_Repo_Commit": COMMIT, "ETag": '"0123abcd"', **self.headers}
        request.reply(200, WEIGHTS, **{name: value for name, value in headers.items() if value})


def names(folder: Path) -> set[str]:
    """Return all files below a folder and beside it."""
    return {path.relative_to(folder.parent).as_posix() for path in folder.parent.rglob("*") if path.is_file()}


@pytest.mark.parametrize("header", ["ETag", "X_Linked_ETag", "X_Repo_Commit"])
@pytest.mark.parametrize(
    "value",
    ["{outside}", '"{outside}"', 'W/"{outside}"', "../../../../../../outside", '"../outside"', "a/b", "..", "a.b"],
    ids=map(str, range(8)),
)  # fmt: skip
def test_fetch_weights_mirror_cannot_name_files(header: str, value: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with Mirror({header: value.format(outside=tmp_path / "outside")}) as server:
        result = fetch(server.url, home)
    assert result.returncode == 1
    assert "127.0.0.1 sent a header" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not any(WEIGHTS in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert not (tmp_path / "outside").exists()
    assert {name for name in names(home) if not name.startswith("home/.cache/huggingface/hub/")} == set()


@pytest.mark.parametrize("etag", ['"0123abcd"', "0123abcd", 'W/"0123abcd"', '"0123abcd-12"', "0x8DCAFE"])
def test_fetch_weights_mirror_with_usual_headers_is_accepted(etag: str, tmp_path: Path) -> None:
    with Mirror({"ETag": etag}) as server:
        assert fetch(server.url, tmp_path).returncode == 0
    assert (tmp_path / "weights/model.safetensors").read_bytes() == WEIGHTS


def fetch_limited(url: str, home: Path, sha256: str = "") -> subprocess.CompletedProcess[str]:
    """Fetch with limits that a test reaches soon."""
    code = (
        "import brain_tumor.pretrained.hub as hub; hub.RESPONSE_SECONDS = 2.0; hub.MAX_BYTES = 2**20; "
        f"hub.fetch_weights({REPO!r}, {COMMIT!r}, 'model.safetensors', Path('weights'), {sha256!r})"
    )
    return run_clean(code, home, HF_ENDPOINT=url)


HUB_HEAD = f"HTTP/1.1 200 OK\r\nX-Repo-Commit: {COMMIT}\r\nETag: 0123\r\n".encode()


@pytest.mark.parametrize("name", [*SLOW, *ENDLESS])
def test_fetch_weights_slow_or_endless_mirror_is_given_up(name: str, tmp_path: Path) -> None:
    """The client asks for the headers first (HEAD), so that a body is sent only where these are complete."""
    answer: Answer = {**SLOW, **ENDLESS}[name]
    start = time.monotonic()
    with RawServer(answer) as server:
        result = fetch_limited(server.url, tmp_path)
    assert time.monotonic() - start < 30
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "error: model.safetensors of" in result.stderr
    assert not (tmp_path / "weights").exists()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (endless(bytes(2**14), HUB_HEAD + b"\r\n"), "sent more than 1,048,576 bytes"),
        (endless(b"a", HUB_HEAD + b"\r\n", 0.05), "sent less than 65,536 bytes in 2 s"),
    ],
    ids=["endless", "drip"],
)
def test_fetch_weights_body_has_limits(body: Answer, message: str, tmp_path: Path) -> None:
    with RawServer(body) as server:
        result = fetch_limited(server.url, tmp_path)
    assert result.returncode == 1
    assert f"127.0.0.1 {message}" in result.stderr
    assert not (tmp_path / "weights").exists()


def test_fetch_weights_other_bytes_than_expected_are_refused(tmp_path: Path) -> None:
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    with HubServer(FILES) as server:
        refused = fetch_limited(server.url, tmp_path, "0" * 64)
        assert f"has the SHA-256 {digest}, but params.yaml expects {'0' * 64}" in refused.stderr
        assert not (tmp_path / "weights").exists()
        assert fetch_limited(server.url, tmp_path, digest).returncode == 0
