"""Credentials of every service: they must not be in anything that a run prints or writes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save
from timm import create_model

from heads import head, png
from project import Project
from roboflow_service import RoboflowServer, make_members, make_zip
from servers import SIGNATURE, HubServer, KaggleServer

SECRETS = {
    "KAGGLE_API_TOKEN": "KGAT_test0secret",
    "ROBOFLOW_API_KEY": "rf_test0secret",
    "HF_TOKEN": "hf_test0secret",
}
HANDLE = "someone/brain-scans"
REPO, COMMIT = "someone/net", "0" * 40
EXPECTED = {"expected": {"counts": {}, "fingerprint": ""}}
INFO = {"patients": "provenance/none.csv", "info": {"title": "", "url": "", "license": "", "generated": False}}
LAYOUT = {"path": "{label}/{file}", "labels": {"yes": "tumor"}}
DOWNLOADS = ("download@k", "download@r", "weights@net")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "project")
    params = project.params()
    kaggle = {"kind": "kaggle", "handle": HANDLE, "version": 1, "layout": LAYOUT}
    roboflow = {
        "kind": "roboflow", "workspace": "someone", "project": "brain-tumors", "version": 3,
        "labels": {"label0": "glioma"}, "background": "",
    }  # fmt: skip
    params["datasets"] = {"k": {"source": kaggle} | EXPECTED | INFO, "r": {"source": roboflow} | EXPECTED | INFO}
    params["backbones"] = {
        "net": {"architecture": "resnet10t", "weights": {"kind": "hub", "repo": REPO, "revision": COMMIT}}
    }
    params["recipes"] = {}
    project.edit(params)
    return project


@pytest.fixture
def services() -> Iterator[dict[str, Any]]:
    image = png(head(1))
    export = make_zip(make_members({"train": {"a.jpg": [(1, [1, 2, 3, 4])]}}) | {"train/a.jpg": image})
    config = json.dumps({"architecture": "resnet10t"}).encode()
    weights = {
        (REPO, COMMIT, "model.safetensors"): save(create_model("resnet10t").state_dict()),
        (REPO, COMMIT, "config.json"): config,
    }
    with (
        KaggleServer({(HANDLE, 1): make_zip({"yes/1.png": image})}, token=SECRETS["KAGGLE_API_TOKEN"]) as kaggle,
        RoboflowServer(export) as roboflow,
        HubServer(weights, gated=SECRETS["HF_TOKEN"]) as hub,
    ):
        yield {"KAGGLE_API_URL": kaggle, "ROBOFLOW_API_URL": roboflow, "HF_ENDPOINT": hub}


def assert_clean(project: Project, output: str) -> None:
    paths = [path for path in project.root.parent.rglob("*") if path.is_file()]
    assert len(paths) > 50
    for secret in (*SECRETS.values(), SIGNATURE):
        assert secret not in output
        leaks = [str(path) for path in paths if secret.encode() in path.read_bytes()]
        assert not leaks, secret


def test_downloads_successful_run_leaks_no_credential(project: Project, services: dict[str, Any]) -> None:
    environment = SECRETS | {name: server.url for name, server in services.items()}
    targets = [f"stages/dvc.yaml:{name}" for name in DOWNLOADS]
    output = project.run("dvc", "repro", "--verbose", *targets, **environment)
    assert all(any(request.authorization for request in server.requests) for server in services.values())
    assert sorted(project.lock()) == sorted(["check_params", *DOWNLOADS])
    assert_clean(project, output)


@pytest.mark.parametrize("status", [401, 500])
def test_downloads_failed_run_leaks_no_credential(project: Project, services: dict[str, Any], status: int) -> None:
    environment = SECRETS | {name: server.url for name, server in services.items()}
    for server in services.values():
        server.failures = [status]
    output = ""
    for name in DOWNLOADS:
        code = 0 if status == 500 else 255  # a status of 500 is retried
        output += project.run("dvc", "repro", "--verbose", f"stages/dvc.yaml:{name}", code=code, **environment)
    assert_clean(project, output)
