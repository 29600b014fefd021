"""The team's day: one machine reproduces and pushes, another one clones and pulls, over S3 and over a folder."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from project import Project

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
    """As the README says, and where the server is."""
    project.run("dvc", "remote", "add", "--force", "--default", "team", f"s3://team/{prefix}")
    project.run("dvc", "remote", "modify", "team", "endpointurl", server)


def objects(project: Project) -> set[str]:
    """The contents of the project's cache."""
    cache = project.root / ".dvc/cache/files/md5"
    return {str(path.relative_to(cache)) for path in cache.glob("*/*")} if cache.exists() else set()


def ran(output: str) -> list[str]:
    return [line.split("'")[1].partition(":")[2] for line in output.splitlines() if line.startswith("Running stage")]


def test_a_clone_pulls_and_has_nothing_to_run(first: Project, server: str, tmp_path: Path) -> None:
    add_s3(first, server)
    first.commit("remote")
    first.run("dvc", "push", **CREDENTIALS)
    other = first.clone(tmp_path / "second" / "project")
    other.run("dvc", "pull", **CREDENTIALS)
    assert set() < objects(other) <= objects(first)  # what is in Git is not pushed
    assert ran(other.run("dvc", "repro", "-P", **NO_DATA)) == []
    report = "reports/one/report.html"
    assert (other.root / report).read_bytes() == (first.root / report).read_bytes()
    for file in (other.root / ".dvc/config", other.root / "stages/dvc.lock", other.root / "dvc.lock"):
        assert not file.exists() or SECRET not in file.read_text()


def test_the_staleness_check_needs_no_data(first: Project, tmp_path: Path) -> None:
    other = first.clone(tmp_path / "second" / "project")
    check = ("python", str(Path(__file__).parents[1] / ".ci/stale.py"))
    assert ran(other.run("dvc", "repro", "-P", "--dry", "--allow-missing", **NO_DATA)) == []
    assert "stages are up to date" in other.run(*check, **NO_DATA)
    params = (other.root / "params.yaml").read_text()
    for old, new in (("lr: 0.001", "lr: 0.5"), ("title: Shapes", "title: Other shapes")):
        assert old in params
        (other.root / "params.yaml").write_text(params.replace(old, new))
        assert "stale, run `dvc repro`" in other.run(*check, code=1, **NO_DATA)
    (other.root / "params.yaml").write_text(params)
    code = other.root / "src/brain_tumor/metrics.py"
    code.write_text(code.read_text() + "# changed\n")
    assert "evaluate@one" in other.run(*check, code=1, **NO_DATA)
    (other.root / "params.yaml").write_text(params)
    sheets = other.root / "src/brain_tumor/sheets.py"
    sheets.write_text(sheets.read_text() + "CHANGED = True\n")
    # DVC stops at the first stage whose data it would need: what has changed is said all the same.
    assert "audit@mine: src/brain_tumor/sheets.py" in other.run(*check, code=1, **NO_DATA)
    other.git("checkout", "-q", "--", "src")
    for lock in other.root.rglob("dvc.lock"):
        lock.unlink()
    assert "stale" in other.run(*check, code=1, **NO_DATA), "what is promised was never run"
    assert objects(other) == set(), "nothing was pulled"


def test_a_changed_parameter_pulls_what_it_needs_and_no_raw_data(first: Project, server: str, tmp_path: Path) -> None:
    add_s3(first, server)
    first.run("dvc", "push", **CREDENTIALS)
    other = first.clone(tmp_path / "second" / "project")
    add_s3(other, server)
    params = other.params()
    params["recipes"]["one"]["evaluate"]["seed"] = 1
    other.edit(params)
    done = ran(other.run("dvc", "repro", "-P", "--pull", "--allow-missing", **CREDENTIALS, **NO_DATA))
    assert "evaluate@one" in done
    assert not [stage for stage in done if stage.startswith(("download", "audit", "enhance", "split", "train"))]
    for place in ("data/raw", "data/weights", "exports"):
        assert not list((other.root / place).glob("*")), "no stage that ran needs it"


def test_a_cut_push_and_a_cut_pull_are_finished_by_the_next(first: Project, server: str, tmp_path: Path) -> None:
    """What is there already when it is cut: half of the objects, and one of them not whole in a hidden file."""
    add_s3(first, server, "cut")
    first.run("dvc", "push", "stages/dvc.yaml:train@one", **CREDENTIALS)
    bucket = boto3.resource("s3", "us-east-1", endpoint_url=server, **KEYS).Bucket("team")
    part = {each.key for each in bucket.objects.filter(Prefix="cut/")}
    first.run("dvc", "push", **CREDENTIALS)
    whole = {each.key for each in bucket.objects.filter(Prefix="cut/")}
    assert part < whole
    other = first.clone(tmp_path / "second" / "project")
    add_s3(other, server, "cut")
    other.run("dvc", "fetch", "stages/dvc.yaml:train@one", **CREDENTIALS)
    before = objects(other)
    other.run("dvc", "pull", **CREDENTIALS)
    assert before < objects(other)
    assert ran(other.run("dvc", "repro", "-P", **NO_DATA)) == []


def test_a_corrupted_object_in_the_cache_is_noticed(first: Project, server: str, tmp_path: Path) -> None:
    add_s3(first, server)
    first.run("dvc", "push", **CREDENTIALS)
    other = first.clone(tmp_path / "second" / "project")
    add_s3(other, server)
    other.run("dvc", "pull", **CREDENTIALS)
    card = other.root / "models/one/model.safetensors"
    cache = other.root / ".dvc/cache/files/md5"
    folders = [json.loads(path.read_text()) for path in cache.glob("*/*.dir")]
    (name,) = {entry["md5"] for folder in folders for entry in folder if entry["relpath"] == card.name}
    stored = cache / name[:2] / name[2:]
    content = stored.read_bytes()
    stored.chmod(0o644)
    stored.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    shutil.rmtree(other.root / "models/one")
    other.run("dvc", "pull", **CREDENTIALS)
    assert card.read_bytes() == (first.root / "models/one/model.safetensors").read_bytes()


def test_the_default_remote_is_a_folder_beside_the_clone(first: Project, tmp_path: Path) -> None:
    base = tmp_path / "team"
    one = first.copy(base / "a" / "project")
    for file in (".dvc/config", ".dvc/config.local"):
        (one.root / file).unlink(missing_ok=True)
    shutil.copy(Path(__file__).parents[1] / ".dvc/config", one.root / ".dvc/config")
    one.commit("the shipped configuration")
    one.run("dvc", "push")
    other = one.clone(base / "a" / "again")
    other.run("dvc", "pull")
    assert ran(other.run("dvc", "repro", "-P", **NO_DATA)) == []


def test_models_are_got_from_another_repository(first: Project, server: str, tmp_path: Path) -> None:
    add_s3(first, server)
    first.commit("remote for others")
    first.run("dvc", "push", **CREDENTIALS)
    # A version of an artifact is a tag.
    first.git("tag", "-a", "one@v1.0.0", "-m", "first")
    for words in (("dvc", "get", str(first.root), "models/one"), ("dvc", "artifacts", "get", str(first.root), "one")):
        out = tmp_path / words[1]
        first.run(*words, "--out", str(out), **CREDENTIALS)
        assert (out / "model.safetensors").read_bytes() == (first.root / "models/one/model.safetensors").read_bytes()
