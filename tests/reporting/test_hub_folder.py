"""The folder for the Hugging Face Hub: its card's Python code runs as it is printed, and timm loads the weights."""

import ast
import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image

import report
from brain_tumor.inference.torch_model import load_torch_model
from brain_tumor.models.calibration import Calibration
from brain_tumor.models.classifier import Classifier, save_model
from brain_tumor.reporting.html_report import ReportData
from brain_tumor.reporting.model_card import render_model_card
from example_report import make_data
from heads import head, png
from nets import make_config

SIDE = 32


def make_hub_folder(root: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Path:
    """Write a model with random weights, and its folder for the Hub with a scan and a preprocessed slice."""
    monkeypatch.chdir(root)
    torch.manual_seed(0)
    config = make_config(**options).model_copy(update={"recipe": "mine", "calibration": Calibration(temperature=1.5)})
    Path("models/mine").mkdir(parents=True)
    save_model(Path("models/mine"), Classifier(config).eval(), config)
    data = with_config(make_data(), config.model_dump(mode="json"))
    folder = root / "hub"
    report.write_hub_folder(folder, data)
    (folder / "scan.png").write_bytes(png(head(1)))
    Image.fromarray(head(1, SIDE)[:, :SIDE]).save(folder / "slice.png")
    return folder


def with_config(data: ReportData, config: dict[str, Any]) -> ReportData:
    part = {"images": 9, "groups": 8, "classes": dict.fromkeys(config["classes"], 3)}
    split = dict.fromkeys(("train", "validation", "conformal", "test"), part)
    return make_data(config=config, metrics={**data.metrics, "split": split})


def run_blocks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run each Python block of the card as printed, in the folder; return what they print."""
    monkeypatch.chdir(folder)
    outputs = []
    for block in re.findall(r"^```python\n(.*?)^```$", Path("README.md").read_text(), re.DOTALL | re.MULTILINE):
        with redirect_stdout(StringIO()) as output:
            exec(block, {})
        outputs.append(output.getvalue())
    return outputs


@pytest.mark.parametrize(
    "options",
    [{}, {"head": "sigmoid", "classes": 2}, {"mean": (0.4, 0.5, 0.6)}, {"architecture": "test_vit"}],
    ids=["softmax", "sigmoid", "three-channels", "fixed-input-size"],
)
def test_hub_folder_code_of_the_card_runs_and_timm_gives_our_probabilities(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_hub_folder(tmp_path, monkeypatch, **options)
    of_package, of_timm = run_blocks(folder, monkeypatch)
    assert of_package.startswith((*"abc", "no answer: "))
    (folder / "scan.png").write_bytes(b"not an image")
    assert run_blocks(folder, monkeypatch)[0].startswith("no answer: ")
    ours = load_torch_model(folder).predict_probabilities(np.array(Image.open(folder / "slice.png"))[None])[0]
    printed = ast.literal_eval(of_timm)
    assert list(printed) == list("abc"[: len(ours)])
    assert np.allclose(list(printed.values()), ours, atol=1e-4)
    card: Any = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "timm"


def test_hub_folder_of_a_model_with_clinical_features_is_not_for_timm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_hub_folder(tmp_path, monkeypatch)
    data = make_data()
    config = {**data.config, "metadata": [{"name": "age"}]}
    text = render_model_card(with_config(data, config))
    assert "library_name: brain-tumor-mri" in text
    assert "timm.create_model" not in text
    assert "timm.create_model" in (folder / "README.md").read_text()
