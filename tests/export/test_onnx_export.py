"""ONNX files of small networks: agreement with the model, metadata, and use without torch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from brain_tumor.core.errors import UserError
from brain_tumor.core.types import Floats, Gray
from brain_tumor.export import onnx_export, out_of_distribution
from brain_tumor.export.onnx_model import METADATA_KEY, OnnxModel
from brain_tumor.export.out_of_distribution import OodReference
from brain_tumor.models.calibration import Calibration
from brain_tumor.models.classifier import Classifier, ModelConfig
from brain_tumor.models.predict import predict_probabilities
from heads import small
from nets import make_config

CPU = torch.device("cpu")
SOURCE = Path(__file__).parents[2] / "src"
Export = tuple[Path, Classifier, ModelConfig]


def calibrated_config(architecture: str, head: str = "softmax") -> ModelConfig:
    calibration = Calibration(temperature=0.7, thresholds={"0.9": 0.2})
    return make_config(architecture, 2 if head == "sigmoid" else 3, head).model_copy(
        update={"calibration": calibration}
    )


def make_reference() -> OodReference:
    return out_of_distribution.fit_reference(small(range(40)), small(range(20)))


@pytest.fixture(scope="module", params=[("resnet10t", "softmax"), ("tf_efficientnet_lite0", "sigmoid")])
def export(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Export:
    architecture, head = request.param
    torch.manual_seed(0)
    config = calibrated_config(architecture, head)
    model, folder = Classifier(config).eval(), tmp_path_factory.mktemp(architecture)
    onnx_export.export_onnx(model, config, make_reference(), folder / "model.onnx")
    onnx_export.quantize_int8(folder / "model.onnx", small(range(24)), folder / "model-int8.onnx")
    return folder, model, config


def predict(model: Classifier, config: ModelConfig, images: Gray) -> Floats:
    return predict_probabilities(model, config, images, CPU).calibrated


@pytest.mark.parametrize("count", [1, 3, 16])
def test_float32_file_equals_model_for_any_batch_size(export: Export, count: int) -> None:
    folder, model, config = export
    images = small(range(count))
    probabilities = OnnxModel(folder / "model.onnx").predict_probabilities(images)
    assert probabilities == pytest.approx(predict(model, config, images), abs=1e-5)
    assert probabilities.sum(1) == pytest.approx(np.ones(count), abs=1e-5)


def test_int8_file_is_smaller_and_close_to_the_model(export: Export) -> None:
    folder, model, config = export
    files = [folder / name for name in ("model.onnx", "model-int8.onnx")]
    assert files[1].stat().st_size < 0.4 * files[0].stat().st_size
    images = small(range(16))
    probabilities = OnnxModel(files[1]).predict_probabilities(images)
    assert probabilities == pytest.approx(predict(model, config, images), abs=0.1)
    assert len(np.unique(probabilities.round(6))) > 3, "probabilities are not quantized"


def test_export_twice_same_bytes_without_local_path(export: Export, tmp_path: Path) -> None:
    folder, model, config = export
    onnx_export.export_onnx(model, config, make_reference(), tmp_path / "model.onnx")
    onnx_export.quantize_int8(tmp_path / "model.onnx", small(range(24)), tmp_path / "model-int8.onnx")
    for name in ("model.onnx", "model-int8.onnx"):
        content = (folder / name).read_bytes()
        assert (tmp_path / name).read_bytes() == content
        for path in (Path(torch.__file__).parents[1], Path(__file__).parents[2], tmp_path):
            assert str(path).encode() not in content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model-int8.onnx", "model.onnx"]


def test_metadata_describe_the_model(export: Export) -> None:
    folder, _, config = export
    for name in ("model.onnx", "model-int8.onnx"):
        description = OnnxModel(folder / name).description
        assert description.classes == config.classes
        assert description.preprocess == config.preprocess
        assert description.calibration.thresholds == {"0.9": 0.2}
        assert description.ood_reference == make_reference()
        assert description.passes_quality_check


def test_mark_failed_check_changes_only_that_field(export: Export, tmp_path: Path) -> None:
    original = OnnxModel(export[0] / "model.onnx").description
    (tmp_path / "model.onnx").write_bytes((export[0] / "model.onnx").read_bytes())
    onnx_export.mark_failed_check(tmp_path / "model.onnx")
    assert OnnxModel(tmp_path / "model.onnx").description == original.model_copy(update={"passes_quality_check": False})


def test_foreign_and_damaged_files_are_rejected(export: Export, tmp_path: Path) -> None:
    content = (export[0] / "model.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.onnx").write_text("not a model")
    foreign = onnx.load_from_string(content)
    del foreign.metadata_props[:]
    onnx.save(foreign, str(tmp_path / "foreign.onnx"))
    foreign.metadata_props.add(key=METADATA_KEY, value=json.dumps({"classes": ["a"]}))
    onnx.save(foreign, str(tmp_path / "half.onnx"))
    expected = {
        "cut": "is not a readable ONNX model",
        "text": "is not a readable ONNX model",
        "foreign": "was not written by",
        "half": "has invalid metadata",
        "none": "is missing",
    }
    for name, message in expected.items():
        with pytest.raises(UserError, match=message):
            OnnxModel(tmp_path / f"{name}.onnx")


@pytest.mark.parametrize("entry", [["-m", "brain_tumor.commands.main", "predict"], [str(SOURCE / "predict.py")]])
def test_onnx_prediction_does_not_import_torch_pandas_or_gradio(
    export: Export, entry: list[str], tmp_path: Path
) -> None:
    """As on a device without these packages: importing any of them fails."""
    Image.fromarray(small(range(1))[0]).save(tmp_path / "scan.png")
    blocked = ("torch", "timm", "pandas", "torchvision", "sklearn", "matplotlib", "gradio", "captum", "scipy", "onnx")
    for name in blocked:
        (tmp_path / "blocked" / name).mkdir(parents=True)
        (tmp_path / "blocked" / name / "__init__.py").write_text(f"raise ImportError('no {name} here')\n")
    args = [str(export[0]), str(tmp_path / "scan.png"), "--runtime", "onnx", "--format", "jsonl"]
    env = os.environ | {"PYTHONPATH": f"{tmp_path / 'blocked'}{os.pathsep}{SOURCE}"}
    result = subprocess.run([sys.executable, *entry, *args], env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["predicted"] in "abc"
    assert "Not for clinical use" in result.stderr
    assert "trained on generated (synthetic) images only" in result.stderr
