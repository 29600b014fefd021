"""Pretrained weights of backbones."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from safetensors.torch import save_file
from timm import create_model
from torch import Tensor

from brain_tumor.core.errors import UserError
from brain_tumor.pretrained.fit import require_fit
from brain_tumor.pretrained.weights import BackboneParams, save_weights


def params(**weights: Any) -> BackboneParams:
    return TypeAdapter(BackboneParams).validate_python({"architecture": "test_vit", "weights": weights})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    net: Any = create_model("test_vit")
    save_file(net.state_dict(), tmp_path / "mine.safetensors")
    return tmp_path / "mine.safetensors"


def test_save_weights_file_is_copied(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setenv("DATA_ARCHIVES", str(tmp_path))
    for path in (str(file), file.name):
        (tmp_path / "out").mkdir(exist_ok=True)
        backbone = save_weights(params(kind="file", path=path, sha256=sha256), tmp_path / "out")
        assert backbone["source"] == "file mine.safetensors"
        assert backbone["sha256"] == sha256
        assert (tmp_path / "out/model.safetensors").read_bytes() == file.read_bytes()


def test_save_weights_wrong_file_error_names_it(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere.safetensors was not found"):
        save_weights(params(kind="file", path="nowhere.safetensors", sha256="0" * 64), tmp_path)
    with pytest.raises(UserError, match=r"mine.safetensors has the SHA-256 [0-9a-f]{64}, but params.yaml expects 0000"):
        save_weights(params(kind="file", path=str(file), sha256="0" * 64), tmp_path)
    file.write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"mine.safetensors is not a safetensors file"):
        save_weights(params(kind="file", path=str(file), sha256=hashlib.sha256(b"no weights").hexdigest()), tmp_path)


def save_changed(
    path: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]], architecture: str = "test_vit"
) -> BackboneParams:
    """Save an architecture's weights after a change; return a backbone `test_vit` with them."""
    torch.manual_seed(0)
    net: Any = create_model(architecture)
    save_file(change(net.state_dict()), path)
    return params(kind="file", path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    ("architecture", "change", "message"),
    [
        ("test_efficientnet", lambda state: state, "does not fit timm's test_vit"),
        ("test_vit", lambda state: {f"backbone.{name}": state[name] for name in state}, "names must be those of timm"),
        (
            "test_vit",
            lambda state: {name: state[name] for name in state if not name.startswith("blocks.2.")},
            r"lacks \d+ of the \d+ tensors outside the head \(blocks\.2\.",
        ),
        ("test_vit", lambda state: {"head.weight": state["head.weight"]}, "lacks"),
        ("test_vit", lambda state: {**state, "norm.weight": torch.ones(7)}, "size mismatch for norm.weight"),
        (
            "test_vit",
            lambda state: {name: state[name] for name in state if name != "norm.bias"},
            r"lacks 1 .*norm\.bias",
        ),
    ],
    ids=["other", "prefix", "stage", "head alone", "shape", "one"],
)
def test_save_weights_that_do_not_fit_error_names_what_is_missing(
    architecture: str, change: Callable[[dict[str, Tensor]], dict[str, Tensor]], message: str, tmp_path: Path
) -> None:
    backbone = save_changed(tmp_path / "mine.safetensors", change, architecture)
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match=message) as caught:
        save_weights(backbone, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "change",
    [
        lambda state: {name: state[name] for name in state if not name.startswith("head.")},
        lambda state: {
            **state,
            "head.weight": torch.zeros(4, state["head.weight"].shape[1]),
            "head.bias": torch.zeros(4),
        },
        lambda state: {**state, "more": torch.zeros(4)},
    ],
    ids=["no head", "other head", "more"],
)
def test_save_weights_with_another_head_fit(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]], tmp_path: Path
) -> None:
    backbone = save_changed(tmp_path / "mine.safetensors", change)
    (tmp_path / "out").mkdir()
    assert save_weights(backbone, tmp_path / "out")["source"] == "file mine.safetensors"


@pytest.mark.parametrize(
    "architecture", ["resnet18", "tf_efficientnet_lite0", "deit_tiny_distilled_patch16_224", "mixer_s32_224"]
)
def test_require_fit_own_weights_of_an_architecture_fit(architecture: str, tmp_path: Path) -> None:
    net: Any = create_model(architecture)
    save_file(net.state_dict(), tmp_path / "mine.safetensors")
    require_fit(tmp_path / "mine.safetensors", architecture)
