"""The hub's real client against a loopback server, in processes whose environment holds nothing else."""

import random
import socket
import subprocess
from pathlib import Path

import pytest
from servers import SIGNATURE, HubServer, run_clean

from brain_tumor.errors import UserError
from brain_tumor.hub import fetch_weights

REPO = "timm/some_model.in1k"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SECRET = "hf_planted0secret"
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
    """Fetch into `home`/weights; whatever happens, no credential may be printed, nor a signed address."""
    code = (
        "from brain_tumor.hub import fetch_weights; "
        f"print(fetch_weights({repo!r}, {revision!r}, {filename!r}, Path('weights')).as_posix())"
    )
    result = run_clean(code, home, HF_ENDPOINT=url, **environment)
    output = result.stdout + result.stderr
    assert SIGNATURE not in output
    assert SECRET not in output
    assert "Traceback" not in output
    return result


def test_file_is_copied_and_cached(tmp_path: Path) -> None:
    with HubServer(FILES) as server:
        first = fetch(server.url, tmp_path)
        asked = len(server.seen)
        (tmp_path / "weights" / "model.safetensors").unlink()
        second = fetch(server.url, tmp_path)
    assert first.stdout == second.stdout == "weights/model.safetensors\n"
    assert (tmp_path / "weights" / "model.safetensors").read_bytes() == WEIGHTS
    # One HEAD and one GET: no telemetry, and nothing at all once the file is in the cache.
    assert [seen.method for seen in server.seen] == ["HEAD", "GET"]
    assert asked == 2
    assert {path.name for path in tmp_path.iterdir()} == {"weights", ".cache"}
    assert [path.name for path in (tmp_path / ".cache" / "huggingface").iterdir()] == ["hub"]


def test_cache_of_another_machine_is_enough(tmp_path: Path) -> None:
    commit = tmp_path / ".cache/huggingface/hub/models--timm--some_model.in1k/snapshots" / COMMIT
    commit.mkdir(parents=True)
    (commit / "model.safetensors").write_bytes(WEIGHTS)
    assert fetch("http://127.0.0.1:9", tmp_path, HF_HUB_OFFLINE="1").returncode == 0
    assert (tmp_path / "weights" / "model.safetensors").read_bytes() == WEIGHTS


def test_endpoint_is_read_when_called(tmp_path: Path) -> None:
    """Libraries import the hub's client early; HF_ENDPOINT set afterwards still counts."""
    with HubServer(FILES) as server:
        code = (
            "import os, huggingface_hub.constants; from brain_tumor.hub import fetch_weights; "
            f"os.environ['HF_ENDPOINT'] = {server.url!r}; "
            f"fetch_weights({REPO!r}, {COMMIT!r}, 'model.safetensors', Path('weights'))"
        )
        assert run_clean(code, tmp_path).returncode == 0
    assert (tmp_path / "weights" / "model.safetensors").read_bytes() == WEIGHTS


def test_broken_download_and_outage_pass(tmp_path: Path) -> None:
    with HubServer(FILES, failures=[503, 503], cut=50_000) as server:
        assert fetch(server.url, tmp_path).returncode == 0
    assert (tmp_path / "weights" / "model.safetensors").read_bytes() == WEIGHTS


def test_token_opens_a_gated_repository_alone(tmp_path: Path) -> None:
    with HubServer(FILES, gated=SECRET) as server:
        refused = fetch(server.url, tmp_path)
        assert fetch(server.url, tmp_path, HF_TOKEN=SECRET).returncode == 0
    assert refused.returncode == 1
    assert "refused access (HTTP status 403)" in refused.stderr
    assert "HF_TOKEN" in refused.stderr
    assert not any(seen.authorization for seen in server.seen if seen.path.startswith("/storage/"))


def test_wrong_token_is_told_about(tmp_path: Path) -> None:
    with HubServer(FILES, gated="another", failures=[401]) as server:
        result = fetch(server.url, tmp_path, HF_TOKEN=SECRET)
    assert result.returncode == 1
    assert "status 401" in result.stderr
    assert "expired" in result.stderr


@pytest.mark.parametrize("revision", ["main", "v1.0", COMMIT[:12], COMMIT + "0", COMMIT.upper()])
def test_only_commits_are_taken(tmp_path: Path, revision: str) -> None:
    with pytest.raises(UserError, match=f"'{revision}' of {REPO} is not a commit: .* 40 hex digits"):
        fetch_weights(REPO, revision, "model.safetensors", tmp_path)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"revision": "f" * 40}, "no such commit"),
        ({"filename": "other.safetensors"}, "no such file"),
        ({"repo": "timm/other", "HF_TOKEN": SECRET}, "no such repository"),
        ({"repo": "timm/other"}, "there is none of that name"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, change: dict[str, str], what: str) -> None:
    with HubServer(FILES) as server:
        result = fetch(server.url, tmp_path, **change)
    assert result.returncode == 1
    assert what in result.stderr
    assert not (tmp_path / "weights").exists()


def test_impossible_repository_name(tmp_path: Path) -> None:
    result = fetch("http://127.0.0.1:9", tmp_path, repo="a/b/c")
    assert result.returncode == 1
    assert "a/b/c" in result.stderr


@pytest.mark.parametrize("offline", [{}, {"HF_HUB_OFFLINE": "1"}])
def test_no_connection_says_how_to_do_without(tmp_path: Path, offline: dict[str, str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://user:{SECRET}@127.0.0.1:{unused.getsockname()[1]}"
        result = fetch(url, tmp_path, HF_TOKEN=SECRET, **offline)
    assert result.returncode == 1
    for way in (
        "127.0.0.1 could not deliver",
        "HF_ENDPOINT",
        "hf download",
        COMMIT,
        ".cache/huggingface/hub",
    ):
        assert way in result.stderr
    assert not (tmp_path / "weights").exists()
