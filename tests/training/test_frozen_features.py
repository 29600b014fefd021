"""Training the head or the last blocks, and the features of a frozen backbone."""

from pathlib import Path
from typing import Any

import pytest
import torch

from brain_tumor.training import trainer
from brain_tumor.training.frozen_features import cache_features
from nets import fit, have_same_weights, make_model

ARCHITECTURES = ["resnet10t", "efficientnet_lite0", "test_vit"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_train_head_cached_features_give_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, architecture: str
) -> None:
    changes: dict[str, Any] = {"trainable": "head", "augment": (), "optimizer": {"kind": "sgd", "lr": 1e-4}}
    calls: list[Path] = []

    def counted(model: Any, images: Any, device: Any, path: Path) -> torch.Tensor:
        calls.append(path)
        return cache_features(model, images, device, path)

    monkeypatch.setattr(trainer, "cache_features", counted)
    cached, state = fit(tmp_path / "cached.pt", make_model(architecture=architecture), **changes)
    assert [path.name for path in calls] == ["train", "validation"]
    # A flip with probability 0 changes nothing, but augmented images have no cached features.
    changes["augment"] = ({"op": "flip", "p": 0.0},)
    computed, expected = fit(tmp_path / "computed.pt", make_model(architecture=architecture), **changes)
    assert len(calls) == 2
    torch.testing.assert_close(cached.state_dict(), computed.state_dict(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(torch.tensor(state.history), torch.tensor(expected.history), rtol=1e-4, atol=1e-5)
    assert not have_same_weights(cached, make_model(architecture=architecture))
    assert sorted(tmp_path.iterdir()) == [tmp_path / "cached.pt", tmp_path / "computed.pt"]


@pytest.mark.parametrize(("trainable", "expected"), [("head", {"fc"}), (1, {"fc", "layer4"})])
def test_train_frozen_layers_keep_their_weights(
    tmp_path: Path, trainable: Any, expected: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    before = {name: tensor.clone() for name, tensor in make_model().backbone.state_dict().items()}
    model, _ = fit(tmp_path / "s.pt", trainable=trainable, augment=())
    changed = {n.split(".")[0] for n, t in model.backbone.state_dict().items() if not torch.equal(t, before[n])}
    assert changed == expected
    assert ("the frozen part of the network is computed in every step" in caplog.text) == (trainable == 1)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_train_more_last_blocks_change_more_weights(tmp_path: Path, architecture: str) -> None:
    def count_changed(trainable: Any) -> int:
        model, initial = make_model(architecture=architecture), make_model(architecture=architecture)
        fit(tmp_path / f"{trainable}.pt", model, trainable=trainable, augment=(), epochs=1)
        pairs = zip(model.parameters(), initial.parameters(), strict=True)
        return sum(not torch.equal(a, b) for a, b in pairs)

    assert 0 < count_changed("head") < count_changed(1) < count_changed(2) < count_changed("all")
