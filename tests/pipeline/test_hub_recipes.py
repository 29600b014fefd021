"""The three recipes with weights from the hub, from the servers to the metrics, and one of them to its report.

Loopback servers speak the protocols of the hub and of Kaggle. The hub serves small timm models instead of ViT-B/16 and
ResNet-50, Kaggle serves few images, and epochs and image size are reduced. Everything else is as in params.yaml.
"""

import io
import json
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save
from timm import create_model

from dvc_output import stages_run
from heads import head, png
from project import Project
from servers import HubServer, KaggleServer

RECIPES = ("vit-rollout", "vit-finetune", "resnet-gradcam")
STAGES = ("report@vit-rollout", "evaluate@vit-finetune", "evaluate@resnet-gradcam")
TARGETS = [f"stages/dvc.yaml:{stage}" for stage in STAGES]
SMALL = {"vit_base_patch16_224": "test_vit", "resnet50": "resnet10t"}
FOLDERS = {
    "navoneel": {"yes": 24, "no": 24},
    "nickparvar": {
        f"{split}/{label}": count
        for split, count in (("Training", 10), ("Testing", 4))
        for label in ("glioma", "meningioma", "notumor", "pituitary")
    },
}


def make_archive(folders: dict[str, int]) -> bytes:
    """Make a zip of heads with a bright spot, whose size depends on the folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, (folder, count) in enumerate(folders.items()):
            for n in range(count):
                pixels = (head(1000 * number + n, 64) * 0.7).astype(np.uint8)
                pixels[28 : 30 + 3 * (number % 4), 30:40] = 255
                archive.writestr(f"{folder}/{n}.png", png(pixels))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def hub_files() -> dict[tuple[str, str, str], bytes]:
    torch.manual_seed(0)
    files = {}
    for name, architecture in SMALL.items():
        source = Project.default_params()["backbones"][name]["weights"]
        weights = create_model(architecture).state_dict()
        files[source["repo"], source["revision"], "model.safetensors"] = save(weights)
    return files


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, hub_files: dict[tuple[str, str, str], bytes]) -> Project:
    project = Project(tmp_path_factory.mktemp("hub") / "project")
    params = project.params()
    for name, architecture in SMALL.items():
        params["backbones"][name]["architecture"] = architecture
    archives = {}
    for name, folders in FOLDERS.items():
        source = params["datasets"][name]["source"]
        params["datasets"][name]["expected"] = {"counts": {}, "fingerprint": ""}
        archives[source["handle"], source["version"]] = make_archive(folders)
    for name in RECIPES:
        recipe = params["recipes"][name]
        recipe["preprocess"]["operations"][-1]["size"] = 64
        recipe["train"] |= {"epochs": 2, "batch_size": 8}
        recipe["evaluate"] |= {"rounds": 100, "robustness": [{"kind": "left-right"}]}
        recipe["explain"] |= {"num_cases": 1, "num_images_checks": 2, "rounds": 100}
    project.edit(params)
    with KaggleServer(archives) as kaggle, HubServer(hub_files) as hub:
        project.run("dvc", "repro", *TARGETS, KAGGLE_API_URL=kaggle.url, HF_ENDPOINT=hub.url, DATA_ARCHIVES="")
        assert {request.method for request in hub.requests} == {"HEAD", "GET"}
    return project


@pytest.mark.parametrize("name", RECIPES)
def test_hub_recipe_trains_and_evaluates_hub_weights(
    project: Project, name: str, hub_files: dict[tuple[str, str, str], bytes]
) -> None:
    block = project.params()["recipes"][name]
    source = Project.default_params()["backbones"][block["backbone"]]["weights"]
    card = json.loads((project.root / f"models/{name}/model.json").read_text())
    assert card["pretrained"] == f"hub {source['repo']}@{source['revision']}"
    assert card["calibration"]["temperature"] > 0
    test = json.loads((project.root / f"metrics/{name}/test.json").read_text())
    assert test["published"]["n"] == {"vit-rollout": 10, "vit-finetune": 4, "resnet-gradcam": 16}[name]

    # Two epochs at these learning rates change most of the weights only a little.
    trained = load_file(project.root / f"models/{name}/model.safetensors")
    pretrained = load_file(project.root / f"data/weights/{block['backbone']}/model.safetensors")
    assert (project.root / f"data/weights/{block['backbone']}/model.safetensors").read_bytes() in hub_files.values()
    layers = [key for key, value in trained.items() if value.numel() > 4000 and value.shape == pretrained[key].shape]
    assert len(layers) > 5
    for key in layers:
        pair = torch.stack([trained[key].flatten(), pretrained[key].flatten()])
        assert torch.corrcoef(pair)[0, 1] > 0.9, key


def test_hub_recipe_report_is_written(project: Project) -> None:
    assert "Not for clinical use" in (project.root / "reports/vit-rollout/report.html").read_text()


def test_hub_recipe_second_run_needs_no_network(project: Project) -> None:
    closed = "http://127.0.0.1:9"
    output = project.run("dvc", "repro", *TARGETS, KAGGLE_API_URL=closed, HF_ENDPOINT=closed, DATA_ARCHIVES="")
    assert stages_run(output) == []
