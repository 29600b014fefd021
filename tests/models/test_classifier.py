"""The classifier: its weights, its folder, its gray input."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from timm import create_model
from torch import Tensor

from brain_tumor.core.errors import UserError
from brain_tumor.models.classifier import Classifier, load_model, save_model, to_unit
from brain_tumor.models.predict import predict_logits
from nets import CPU, make_config, make_model, make_samples


def test_load_model_restores_model_and_rejects_misfits(tmp_path: Path) -> None:
    model = make_model().to(memory_format=torch.channels_last).eval()
    save_model(tmp_path, model, make_config())
    loaded, config, _ = load_model(tmp_path)
    assert config == make_config()
    images = make_samples(4).images
    assert torch.equal(predict_logits(model, images, CPU), predict_logits(loaded, images, CPU))
    save_model(tmp_path, model, make_config(classes=2))
    with pytest.raises(UserError, match="does not fit"):
        load_model(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match="does not fit"):
        load_model(tmp_path)
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(UserError, match="not a valid model configuration"):
        load_model(tmp_path)
    with pytest.raises(UserError, match="missing"):
        load_model(tmp_path / "nowhere")


def test_classifier_missing_weights_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Classifier(make_config(), tmp_path / "model.safetensors")


def test_classifier_one_channel_stem_equals_repeated_gray_channel(tmp_path: Path) -> None:
    """It is used only where all channels are normalized alike."""
    torch.manual_seed(0)
    color: Any = create_model("resnet10t", num_classes=3)
    save_file(color.state_dict(), tmp_path / "model.safetensors")
    gray = Classifier(make_config(), tmp_path / "model.safetensors").eval()
    x = to_unit(make_samples(4).images, CPU)
    expected = color.eval().forward_features(((x - 0.5) / 0.5).expand(-1, 3, -1, -1))
    torch.testing.assert_close(gray.backbone.forward_features(gray.normalize(x)), expected, rtol=1e-4, atol=1e-5)
    uneven: Tensor = Classifier(make_config(mean=(0.4, 0.5, 0.6)), tmp_path / "model.safetensors").normalize(x)
    assert uneven.shape[1] == 3
