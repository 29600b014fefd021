"""Team workflow: one machine reproduces and pushes, another one clones and pulls, through S3 and through a folder."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from dvc_output import stages_run
from project import ROOT, Project

SECRET = "secret-of-the-team"
KEYS = {"aws_access_key_id": "team", "aws_secret_access_key": SECRET}
CREDENTIALS: Any = {name.upper(): value for name, value in KEYS.items()} | {"AWS_DEFAULT_REGION": "us-east-1"}
NO_DATA: Any = {"DATA_ARCHIVES": ""}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """An S3 server on loopback, with a bucket."""
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    boto3.resource("s3", "us-east-1", endpoint_url=address, **KEYS).create_bucket(Bucket="team")
    yield address
    server.stop()


@pytest.fixture(scope="module")
def first(reproduced: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Machine A."""
    return reproduced.copy(tmp_path_factory.mktemp("first") / "project")


def add_s3(project: Project, server: str, prefix: str = "cache") -> None:
    """Add a remote as in docs/reproducibility.md, on the test server."""
    project.run("dvc", "remote", "add", "--force", "--default", "team", f"s3://team/{prefix}")
    project.run("dvc", "remote", "modify", "team", "endpointurl", server)


def list_cache(project: Project) -> set[str]:
    """List the objects in the project's cache."""
    cache = project.root / ".dvc/cache/files/md5"
    return {str(path.relative_to(cache)) for path in cache.glob("*/*")} if cache.exists() else set()


def list_stages_run(output: str) -> list[str]:
    return [name.partition(":")[2] for name in stages_run(output)]


def test_clone_after_pull_has_nothing_to_run(first: Project, server: str, tmp_path: Path) -> None:
    add_s3(first, server)
    first.commit("remote")
    first.run("dvc", "push", **CREDENTIALS)
    other = first.clone(tmp_path / "second" / "project")
    other.run("dvc", "pull", **CREDENTIALS)
    assert set() < list_cache(other) <= list_cache(first)  # files in Git are not pushed
    assert list_stages_run(other.run("dvc", "repro", "-P", **NO_DATA)) == []
    report = "reports/one/report.html"
    assert (other.root / report).read_bytes() == (first.root / report).read_bytes()
    for file in (other.root / ".dvc/config", other.root / "stages/dvc.lock", other.root / "dvc.lock"):
        assert not file.exists() or SECRET not in file.read_text()


def test_check_stale_clone_without_data_finds_changes(first: Project, tmp_path: Path) -> None:
    other = first.clone(tmp_path / "second" / "project")
    check = ("python", str(ROOT / "tools/check_stale.py"))
    assert list_stages_run(other.run("dvc", "repro", "-P", "--dry", "--allow-missing", **NO_DATA)) == []
    assert "stages are up to date" in other.run(*check, **NO_DATA)
    params = (other.root / "params.yaml").read_text()
    for old, new in (("lr: 0.002", "lr: 0.5"), ("title: Shapes", "title: Other shapes")):
        assert old in params
        (other.root / "params.yaml").write_text(params.replace(old, new))
        assert "Stale:" in other.run(*check, code=1, **NO_DATA)
    (other.root / "params.yaml").write_text(params)
    code = other.root / "src/brain_tumor/metrics/classification.py"
    code.write_text(code.read_text() + "# changed\n")
    assert "evaluate@one" in other.run(*check, code=1, **NO_DATA)
    other.git("checkout", "-q", "--", "src")
    charts = other.root / "src/brain_tumor/plotting/contact_sheets.py"
    charts.write_text(charts.read_text() + "CHANGED = True\n")
    # DVC stops at the first stage whose data it would need. All changed files are listed nevertheless.
    assert "plot_audit@mine: src/brain_tumor/plotting" in other.run(*check, code=1, **NO_DATA)
    other.git("checkout", "-q", "--", "src")
    with (other.root / "stages/dvc.lock").open("a") as file:
        file.write("  renamed@one:\n    cmd: python renamed.py\n")
    message = other.run(*check, code=1, **NO_DATA)
    assert "entries of stages that do not exist any more" in message
    assert "renamed@one" in message
    assert "stages/dvc.lock: deleted renamed@one" in other.run(*check, "--drop", **NO_DATA)
    assert "stages are up to date" in other.run(*check, **NO_DATA)
    assert not other.run("git", "status", "--short", "stages"), "every other line is as it was"
    for lock in other.root.rglob("dvc.lock"):
        lock.unlink()
    assert "Stale:" in other.run(*check, code=1, **NO_DATA), "the default report was never run"
    assert list_cache(other) == set(), "nothing is pulled"


def test_repro_pull_changed_parameter_pulls_only_needed_inputs(first: Project, server: str, tmp_path: Path) -> None:
    add_s3(first, server)
    first.run("dvc", "push", **CREDENTIALS)
    other = first.clone(tmp_path / "second" / "project")
    add_s3(other, server)
    params = other.params()
    params["recipes"]["one"]["evaluate"]["seed"] = 1
    other.edit(params)
    done = list_stages_run(other.run("dvc", "repro", "-P", "--pull", "--allow-missing", **CREDENTIALS, **NO_DATA))
    assert "evaluate@one" in done
    assert not [stage for stage in done if stage.startswith(("download", "audit", "preprocess", "split", "train"))]
    for folder in ("data/raw", "data/weights", "exports"):
        assert not list((other.root / folder).glob("*")), "no stage that ran needs it"


def test_push_and_pull_after_interruption_transfer_the_rest(first: Project, server: str, tmp_path: Path) -> None:
    add_s3(first, server, "interrupted")
    first.run("dvc", "push", "stages/dvc.yaml:train@one", **CREDENTIALS)
    bucket = boto3.resource("s3", "us-east-1", endpoint_url=server, **KEYS).Bucket("team")
    part = {item.key for item in bucket.objects.filter(Prefix="interrupted/")}
    first.run("dvc", "push", **CREDENTIALS)
    whole = {item.key for item in bucket.objects.filter(Prefix="interrupted/")}
    assert part < whole
    other = first.clone(tmp_path / "second" / "project")
    add_s3(other, server, "interrupted")
    other.run("dvc", "fetch", "stages/dvc.yaml:train@one", **CREDENTIALS)
    before = list_cache(other)
    other.run("dvc", "pull", **CREDENTIALS)
    assert before < list_cache(other)
    assert list_stages_run(other.run("dvc", "repro", "-P", **NO_DATA)) == []


def test_pull_corrupted_cache_object_is_replaced(first: Project, server: str, tmp_path: Path) -> None:
    add_s3(first, server)
    first.run("dvc", "push", **CREDENTIALS)
    other = first.clone(tmp_path / "second" / "project")
    add_s3(other, server)
    other.run("dvc", "pull", **CREDENTIALS)
    weights = other.root / "models/one/model.safetensors"
    cache = other.root / ".dvc/cache/files/md5"
    folders = [json.loads(path.read_text()) for path in cache.glob("*/*.dir")]
    (name,) = {entry["md5"] for folder in folders for entry in folder if entry["relpath"] == weights.name}
    stored = cache / name[:2] / name[2:]
    content = stored.read_bytes()
    stored.chmod(0o644)
    stored.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    shutil.rmtree(other.root / "models/one")
    other.run("dvc", "pull", **CREDENTIALS)
    assert weights.read_bytes() == (first.root / "models/one/model.safetensors").read_bytes()


def test_default_remote_is_shared_by_clones_in_one_folder(first: Project, tmp_path: Path) -> None:
    base = tmp_path / "team"
    one = first.copy(base / "a" / "project")
    for file in (".dvc/config", ".dvc/config.local"):
        (one.root / file).unlink(missing_ok=True)
    shutil.copy(ROOT / ".dvc/config", one.root / ".dvc/config")
    one.commit("the shipped configuration")
    one.run("dvc", "push")
    other = one.clone(base / "a" / "again")
    other.run("dvc", "pull")
    assert list_stages_run(other.run("dvc", "repro", "-P", **NO_DATA)) == []


def test_get_model_from_another_repository(first: Project, server: str, tmp_path: Path) -> None:
    add_s3(first, server)
    first.commit("remote for others")
    first.run("dvc", "push", **CREDENTIALS)
    # A tag marks a version of an artifact.
    first.git("tag", "-a", "one@v1.0.0", "-m", "first")
    for command in (("dvc", "get", str(first.root), "models/one"), ("dvc", "artifacts", "get", str(first.root), "one")):
        out = tmp_path / command[1]
        first.run(*command, "--out", str(out), **CREDENTIALS)
        assert (out / "model.safetensors").read_bytes() == (first.root / "models/one/model.safetensors").read_bytes()
