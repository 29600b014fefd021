"""The model as the pipeline uses it: gray pixels in, class probabilities out; and its folder on disk."""

import json
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from timm import create_model
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from brain_tumor.calibration import Calibration, Head
from brain_tumor.enhance import EnhanceParams
from brain_tumor.errors import UserError
from brain_tumor.metadata import Beside, Column
from brain_tumor.params import Block

METADATA = "metadata."


class ModelCard(Block):
    """`model.json`: all that is needed to use the weights beside it.

    Attributes:
        classes: in the order of the probabilities.
        head: `softmax` has a logit a class; `sigmoid` one logit, for the first class.
        mean, std: of the backbone, by color channel, on values 0 to 1.
        metadata: clinical columns that the model takes beside the image.
        calibration: what the validation rows said of its probabilities.
        data: fingerprint of the training data; code: fingerprint of the training code.
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
    enhance: EnhanceParams
    metadata: tuple[Column, ...] = ()
    calibration: Calibration = Calibration()
    data: str
    code: dict[str, str]
    versions: dict[str, str]


class Classifier(nn.Module):
    """A timm backbone behind its own normalization.

    Gray input goes through timm's one-channel adaption of the stem where the normalization is the same for
    every channel, which is exact; else the gray channel is repeated three times.
    """

    def __init__(self, card: ModelCard, weights: Path | None = None) -> None:
        """Build the model that `card` describes; its backbone starts from `weights`, or at random."""
        super().__init__()
        self.head: Head = card.head
        if self.head == "sigmoid" and len(card.classes) != 2:
            raise UserError(f"head: sigmoid has one logit, for two classes; the recipe has {len(card.classes)}")
        channels = 1 if len(set(card.mean)) == len(set(card.std)) == 1 else 3
        num_logits = len(card.classes) if self.head == "softmax" else 1
        options: dict[str, Any] = {}
        if getattr(get_pretrained_cfg(card.architecture), "fixed_input_size", False):
            options["img_size"] = card.enhance.size
        if weights is not None:
            # timm adapts stem and head of a local file as it does with its own downloads.
            options |= {"pretrained": True, "pretrained_cfg_overlay": {"file": str(weights)}}
        backbone: Any = create_model(card.architecture, num_classes=num_logits, in_chans=channels, **options)
        if weights is not None:
            # timm's EfficientNets start a head of few classes so wide that its first logits run to hundreds.
            head = backbone.get_classifier()
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)
        self.backbone = backbone
        self.metadata = Beside(card.metadata, num_logits)
        self.register_buffer("mean", torch.tensor(card.mean[:channels]).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(card.std[:channels]).view(1, -1, 1, 1), persistent=False)

    def normalize(self, x: Tensor) -> Tensor:
        """(N, 1, H, W) gray values, 0 to 1 → the backbone's (N, 1 or 3, H, W) input."""
        normalized: Tensor = (x - self.get_buffer("mean")) / self.get_buffer("std")
        return normalized

    def forward(self, x: Tensor, metadata: Tensor | None = None) -> Tensor:
        """(N, 1, H, W) gray values, 0 to 1 → (N, classes) logits, or (N, 1) with the sigmoid head."""
        result: Tensor = self.metadata(self.backbone(self.normalize(x)), metadata)
        return result

    def scores(self, logits: Tensor) -> Tensor:
        """Logits → (N, classes) class scores before softmax or sigmoid, for explanations."""
        return logits if self.head == "softmax" else torch.cat([logits, -logits], -1)


def to_unit(images: Tensor, device: torch.device) -> Tensor:
    """(N, H, W) uint8 → (N, 1, H, W) float32, 0 to 1, on the device, channels last."""
    x = images.to(device).unsqueeze(1).float() / 255
    return x.contiguous(memory_format=torch.channels_last)


def save(folder: Path, model: Classifier, card: ModelCard) -> None:
    """Write model.safetensors and model.json into an existing folder."""
    state = {name: tensor.contiguous().cpu() for name, tensor in model.backbone.state_dict().items()}
    state |= {f"{METADATA}{name}": tensor.cpu() for name, tensor in model.metadata.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    text = json.dumps(card.model_dump(mode="json"), indent=2, ensure_ascii=False)
    (folder / "model.json").write_text(text + "\n", encoding="utf-8")


def load(folder: Path, device: torch.device) -> tuple[Classifier, ModelCard]:
    """Read a model folder; the model is in evaluation mode.

    Raises:
        UserError: missing, damaged or unfitting files.
    """
    try:
        card = ModelCard.model_validate_json((folder / "model.json").read_bytes())
        model = Classifier(card)
        state = load_file(folder / "model.safetensors")
        names = [name for name in state if name.startswith(METADATA)]
        model.metadata.load_state_dict({name.removeprefix(METADATA): state.pop(name) for name in names})
        model.backbone.load_state_dict(state)
    except FileNotFoundError as error:
        raise UserError(f"{error.filename or folder} is missing: {folder} is no trained model") from None
    except ValidationError as error:
        raise UserError(f"{folder / 'model.json'} is no valid model description: {error}") from None
    except (SafetensorError, RuntimeError, KeyError) as error:
        raise UserError(f"{folder / 'model.safetensors'} does not fit its model.json: {error}") from None
    model.to(device).to(memory_format=torch.channels_last)
    return model.eval(), card


@torch.inference_mode()
def predict_logits(
    model: Classifier, images: Tensor, device: torch.device, metadata: Tensor | None = None, batch_size: int = 64
) -> Tensor:
    """(N, H, W) uint8 and perhaps (N, M) metadata → (N, logits) float32 on the CPU, in evaluation mode."""
    model.eval()
    known = metadata if metadata is not None else model.metadata.unknown.expand(len(images), -1)
    pairs = zip(images.split(batch_size), known.split(batch_size), strict=True)
    return torch.cat([model(to_unit(x, device), m.to(device)).float().cpu() for x, m in pairs])
