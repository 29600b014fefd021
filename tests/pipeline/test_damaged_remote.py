"""Damaged objects in a remote, an S3 server or a folder, are found by a pull; recipes never run need no objects."""

import copy
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import boto3
import pytest
from moto.server import ThreadedMotoServer

from project import Project

KEYS = {"aws_access_key_id": "team", "aws_secret_access_key": "secret"}
ENVIRONMENT: Any = {name.upper(): value for name, value in KEYS.items()} | {"AWS_DEFAULT_REGION": "us-east-1"}
ENVIRONMENT["DATA_ARCHIVES"] = ""
PULL = ("python", "tools/pull_results.py")
SPLIT, MODEL, IMAGES = "data/split/one.csv", "models/one", "data/enhanced/one"
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "replaced": lambda content: bytes([content[0] ^ 1]) + content[1:],
}


class Store(Protocol):
    """The objects of a remote by md5."""

    def read(self, md5: str) -> bytes: ...
    def write(self, md5: str, content: bytes) -> None: ...
    def delete(self, md5: str) -> None: ...


class Folder:
    """A folder as a remote."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _path(self, md5: str) -> Path:
        return self.root / "files/md5" / md5[:2] / md5[2:]

    def read(self, md5: str) -> bytes:
        return self._path(md5).read_bytes()

    def write(self, md5: str, content: bytes) -> None:
        self.delete(md5)
        self._path(md5).write_bytes(content)

    def delete(self, md5: str) -> None:
        self._path(md5).unlink(missing_ok=True)


class Bucket:
    """A bucket on an S3 server as a remote."""

    def __init__(self, address: str) -> None:
        self.bucket = boto3.resource("s3", "us-east-1", endpoint_url=address, **KEYS).create_bucket(Bucket="team")

    def _object(self, md5: str) -> Any:
        return self.bucket.Object(f"cache/files/md5/{md5[:2]}/{md5[2:]}")

    def read(self, md5: str) -> bytes:
        content: bytes = self._object(md5).get()["Body"].read()
        return content

    def write(self, md5: str, content: bytes) -> None:
        self._object(md5).put(Body=content)

    def delete(self, md5: str) -> None:
        self._object(md5).delete()


@pytest.fixture(scope="module", params=["s3", "folder"])
def pushed(
    request: pytest.FixtureRequest, reproduced: Project, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Project, Store]]:
    """A project with a recipe that was never run, pushed to a remote that is added as docs/reproducibility.md says."""
    project = reproduced.copy(tmp_path_factory.mktemp("damaged") / "project")
    project.add_tools()
    params = project.params()
    params["recipes"]["never-run"] = copy.deepcopy(params["recipes"]["one"])
    project.edit(params)
    url = project.root.parent / "remote"
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    store: Store = Bucket(address) if request.param == "s3" else Folder(url)
    target = "s3://team/cache" if request.param == "s3" else str(url)
    project.run("dvc", "remote", "add", "--default", "team", target)
    project.run("dvc", "remote", "modify", "team", "verify", "true")
    if request.param == "s3":
        project.run("dvc", "remote", "modify", "team", "endpointurl", address)
    project.commit("remote")
    project.run("dvc", "push", **ENVIRONMENT)
    yield project, store
    server.stop()


def hashes(project: Project) -> dict[str, str]:
    """Return the hash of each output, and of each file of the model."""
    outs = {out["path"]: out["md5"] for stage in project.lock().values() for out in stage.get("outs", [])}
    listed = project.root / ".dvc/cache/files/md5" / outs[MODEL][:2] / outs[MODEL][2:]
    return outs | {f"{MODEL}/{file['relpath']}": file["md5"] for file in json.loads(listed.read_text())}


def pull(clone: Project, code: int = 0) -> str:
    """Pull what the training needs and gives, as `make pull` does for a report."""
    return clone.run(*PULL, "stages/dvc.yaml:train@one", code=code, **ENVIRONMENT)


def test_pull_damaged_files_are_named_until_they_are_pushed_again(
    pushed: tuple[Project, Store], tmp_path: Path
) -> None:
    project, store = pushed
    names = dict(zip((SPLIT, f"{MODEL}/model.safetensors", "data/split/one.json"), DAMAGES, strict=True))
    objects = {name: hashes(project)[name] for name in names}
    for name, damage in names.items():
        store.write(objects[name], DAMAGES[damage](store.read(objects[name])))
    clone = project.clone(tmp_path / "clone" / "project")
    output = pull(clone, code=1)
    for name, md5 in objects.items():
        assert f"{name}: files/md5/{md5[:2]}/{md5[2:]}" in output
        assert not (clone.root / name).exists()
    named = re.findall("files/md5/(.*)", output)
    assert len(named) == 5, "and the lists of the two folders that have the model's weights"
    for path in named:
        store.delete(path.replace("/", ""))
    project.run("dvc", "push", **ENVIRONMENT)
    assert "Everything is here" in pull(clone)
    for name in names:
        assert (clone.root / name).read_bytes() == (project.root / name).read_bytes()


@pytest.mark.parametrize("pushed", ["folder"], indirect=True)
def test_pull_wrong_list_of_a_folder_is_named(pushed: tuple[Project, Store], tmp_path: Path) -> None:
    project, store = pushed
    md5 = hashes(project)[IMAGES]
    good = store.read(md5)
    clone = project.clone(tmp_path / "clone" / "project")
    store.write(md5, b"")
    output = pull(clone, code=255)
    assert f"{md5} is corrupted" in output
    assert "it is damaged in the remote: docs/reproducibility.md" in output
    store.write(md5, b"[]")
    assert f"{IMAGES}: files/md5/{md5[:2]}/{md5[2:]}" in pull(clone, code=1)
    store.write(md5, good)
    assert "Everything is here" in pull(clone)


@pytest.mark.parametrize("pushed", ["folder"], indirect=True)
def test_pull_delivered_results_with_a_recipe_that_was_never_run(pushed: tuple[Project, Store], tmp_path: Path) -> None:
    project, _ = pushed
    clone = project.clone(tmp_path / "clone" / "project")
    assert "never-run" in clone.run("dvc", "pull", code=1, **ENVIRONMENT), "the reason for the documented command"
    for path in (".dvc/cache", "data/raw", "models"):
        shutil.rmtree(clone.root / path)
    assert "Everything is here" in clone.run(*PULL, **ENVIRONMENT)
    clone.run("dvc", "checkout", "--allow-missing", **ENVIRONMENT)
