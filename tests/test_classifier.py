"""The classifier: its weights, its file, its gray input."""

from pathlib import Path
from typing import Any

import pytest
import torch
from nets import CPU, card, model, rows
from torch import Tensor

from brain_tumor.classifier import Classifier, load, predict_logits, save, to_unit
from brain_tumor.errors import UserError


def test_checkpoint_comes_back_and_refuses_what_does_not_fit(tmp_path: Path) -> None:
    net = model().to(memory_format=torch.channels_last).eval()
    save(tmp_path, net, card())
    again, read_card = load(tmp_path, CPU)
    assert read_card == card()
    images = rows(4).images
    assert torch.equal(predict_logits(net, images, CPU), predict_logits(again, images, CPU))
    save(tmp_path, net, card(classes=2))
    with pytest.raises(UserError, match="does not fit"):
        load(tmp_path, CPU)
    (tmp_path / "model.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match="does not fit"):
        load(tmp_path, CPU)
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(UserError, match="no valid model description"):
        load(tmp_path, CPU)
    with pytest.raises(UserError, match="missing"):
        load(tmp_path / "nowhere", CPU)


def test_missing_weights_are_an_error_and_never_random(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Classifier(card(), tmp_path / "model.safetensors")


def test_one_channel_stem_is_exact_where_it_is_used(tmp_path: Path) -> None:
    """timm's one-channel adaption gives what the gray channel three times would, if all channels are scaled alike."""
    from safetensors.torch import save_file
    from timm import create_model

    torch.manual_seed(0)
    color: Any = create_model("resnet10t", num_classes=3)
    save_file(color.state_dict(), tmp_path / "model.safetensors")
    gray = Classifier(card(), tmp_path / "model.safetensors").eval()
    x = to_unit(rows(4).images, CPU)
    three = color.eval().forward_features(((x - 0.5) / 0.5).expand(-1, 3, -1, -1))
    torch.testing.assert_close(gray.backbone.forward_features(gray.normalize(x)), three, rtol=1e-4, atol=1e-5)
    uneven: Tensor = Classifier(card(mean=(0.4, 0.5, 0.6)), tmp_path / "model.safetensors").normalize(x)
    assert uneven.shape[1] == 3
