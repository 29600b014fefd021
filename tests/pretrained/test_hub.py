"""The hub's real client with a loopback server, in processes with a clean environment."""

import random
import socket
import subprocess
from pathlib import Path

import pytest

from brain_tumor.core.errors import UserError
from brain_tumor.pretrained.hub import fetch_weights
from servers import SIGNATURE, HubServer, run_clean

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
