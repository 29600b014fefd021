"""Pretrained weights of backbones."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from safetensors.torch import save_file
from timm import create_model

from brain_tumor.core.errors import UserError
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
