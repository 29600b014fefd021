"""The classifier (normalization, timm backbone, clinical features) and its folder: model.safetensors, model.json."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from timm import create_model
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from brain_tumor.core.errors import UserError
from brain_tumor.core.params import Block
from brain_tumor.models import runtime
from brain_tumor.models.calibration import Calibration, Head
from brain_tumor.models.clinical_features import ClinicalFeatureHead, Column
from brain_tumor.models.initialization import Init, initialize_like_torchvision
from brain_tumor.models.numerics import Numerics
from brain_tumor.preprocessing.operations import PreprocessParams

METADATA_PREFIX = "metadata."  # of the clinical features' weights in model.safetensors
HEAD_INIT_SD = 0.01


class ModelConfig(Block):
    """`model.json`: everything needed to use the weights in the same folder.

    Attributes:
        classes: class names in the order of the probabilities.
        head: `softmax` has one logit per class; `sigmoid` has one logit, for the first of two classes.
        mean, std: of the backbone, by color channel, on values 0 to 1.
        pretrained: source of the pretrained weights.
        metadata: clinical columns that the model takes as input besides the image.
        numerics: of training; everything that is computed with the model later uses the same.
        calibration: fitted on the validation and conformal rows.
        data: fingerprint of the training data.
        code: fingerprint of each room of the training code.
        versions: versions of the libraries that compute.
    """

    recipe: str
    dataset: str
    generated_data: bool
    classes: tuple[str, ...]
    architecture: str
    head: Head
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pretrained: str
    preprocess: PreprocessParams
    metadata: tuple[Column, ...] = ()
    numerics: Numerics = "native"
    calibration: Calibration = Calibration()
    data: str
    code: dict[str, str]
    versions: dict[str, str]


class Classifier(nn.Module):
    """A timm backbone with its normalization, and a linear layer over clinical features.

    Where the normalization is the same for all channels, timm's one-channel stem is used, which is exact; otherwise
    the gray channel is repeated three times.
    """

    def __init__(
        self,
        config: ModelConfig,
        weights: Path | None = None,
        init: Init = "timm",
        regularization: Mapping[str, float] | None = None,
    ) -> None:
        """Build the model of `config`.

        Args:
            weights: file of the backbone's pretrained weights; None for random ones.
            init: whose random weights.
            regularization: arguments of timm's model that matter in training only, as `drop_path_rate`.

        Raises:
            UserError: the sigmoid head with other than two classes, or an architecture without this regularization.
        """
        super().__init__()
        self.head: Head = config.head
        if self.head == "sigmoid" and len(config.classes) != 2:
            raise UserError(f"head: sigmoid has one logit, for two classes; the recipe has {len(config.classes)}")
        channels = 1 if len(set(config.mean)) == len(set(config.std)) == 1 else 3
        num_logits = len(config.classes) if self.head == "softmax" else 1
        options: dict[str, Any] = dict(regularization or {})
        if getattr(get_pretrained_cfg(config.architecture), "fixed_input_size", False):
            options["img_size"] = config.preprocess.size
        if weights is not None:
            # timm adapts the stem and head of a local file as it does those of its own downloads.
            options |= {"pretrained": True, "pretrained_cfg_overlay": {"file": str(weights)}}
        try:
            backbone: Any = create_model(config.architecture, num_classes=num_logits, in_chans=channels, **options)
        except TypeError as error:
            raise UserError(f"{config.architecture} does not have all of {', '.join(options)}: {error}") from None
        if weights is not None:
            # With few classes, timm initializes the head of EfficientNets so widely that logits reach hundreds.
            head = backbone.get_classifier()
            nn.init.normal_(head.weight, std=HEAD_INIT_SD)
            nn.init.zeros_(head.bias)
        elif init == "torchvision":
            initialize_like_torchvision(backbone)
        self.backbone = backbone
        self.metadata = ClinicalFeatureHead(config.metadata, num_logits)
        self.register_buffer("mean", torch.tensor(config.mean[:channels]).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std[:channels]).view(1, -1, 1, 1), persistent=False)

    def normalize(self, x: Tensor) -> Tensor:
        """Normalize (N, 1, H, W) gray levels, 0 to 1, to the backbone's (N, 1 or 3, H, W) input."""
        normalized: Tensor = (x - self.get_buffer("mean")) / self.get_buffer("std")
        return normalized

    def forward(self, x: Tensor, metadata: Tensor | None = None) -> Tensor:
        """Compute (N, classes) logits, or (N, 1) with the sigmoid head, of (N, 1, H, W) gray levels, 0 to 1."""
        result: Tensor = self.metadata(self.backbone(self.normalize(x)), metadata)
        return result

    def scores(self, logits: Tensor) -> Tensor:
        """Convert logits to (N, classes) class scores before softmax or sigmoid, for explanations."""
        return logits if self.head == "softmax" else torch.cat([logits, -logits], -1)


def to_unit(images: Tensor, device: torch.device) -> Tensor:
    """Convert (N, H, W) uint8 to (N, 1, H, W) float32, 0 to 1, on the device, channels last."""
    x = images.to(device).unsqueeze(1).float() / 255
    return x.contiguous(memory_format=torch.channels_last)


def save_model(folder: Path, model: Classifier, config: ModelConfig) -> None:
    """Write model.safetensors and model.json into an existing folder."""
    state = {name: tensor.contiguous().cpu() for name, tensor in model.backbone.state_dict().items()}
    state |= {f"{METADATA_PREFIX}{name}": tensor.cpu() for name, tensor in model.metadata.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    text = json.dumps(config.model_dump(mode="json"), indent=2, ensure_ascii=False)
    (folder / "model.json").write_text(text + "\n", encoding="utf-8")


class LoadedModel(NamedTuple):
    """A model in evaluation mode on its device, and its configuration."""

    model: Classifier
    config: ModelConfig
    device: torch.device


def load_model(folder: Path) -> LoadedModel:
    """Read a model folder, after setting torch up as it was for training.

    Raises:
        UserError: files are missing or corrupted, or do not fit each other; or see `runtime.setup_device`.
    """
    try:
        config = ModelConfig.model_validate_json((folder / "model.json").read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"{error.filename or folder} is missing: {folder} is not a trained model") from None
    except ValidationError as error:
        raise UserError(f"{folder / 'model.json'} is not a valid model configuration: {error}") from None
    device = runtime.setup_device(config.numerics)
    try:
        model = Classifier(config)
        state = load_file(folder / "model.safetensors")
        names = [name for name in state if name.startswith(METADATA_PREFIX)]
        model.metadata.load_state_dict({name.removeprefix(METADATA_PREFIX): state.pop(name) for name in names})
        model.backbone.load_state_dict(state)
    except FileNotFoundError as error:
        raise UserError(f"{error.filename or folder} is missing: {folder} is not a trained model") from None
    except (SafetensorError, RuntimeError, KeyError) as error:
        raise UserError(f"{folder / 'model.safetensors'} does not fit its model.json: {error}") from None
    model.to(device).to(memory_format=torch.channels_last)
    return LoadedModel(model.eval(), config, device)
