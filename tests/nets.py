"""Networks small enough to be trained in a second, and images for them."""

from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from brain_tumor.models.classifier import Classifier, ModelConfig
from brain_tumor.models.samples import Samples
from brain_tumor.preprocessing.operations import PreprocessParams
from brain_tumor.training.checkpoint import TrainState
from brain_tumor.training.recipe import TrainParams
from brain_tumor.training.trainer import train

CPU = torch.device("cpu")
FABRIC = Fabric(accelerator="cpu", devices=1)
EQUAL_WEIGHTS = [1.0, 1.0, 1.0]


def make_config(
    architecture: str = "resnet10t", classes: int = 3, head: str = "softmax", mean: Any = (0.5,) * 3
) -> ModelConfig:
    return ModelConfig.model_validate(
        {
            "recipe": "r",
            "dataset": "d",
            "generated_data": True,
            "classes": tuple("abcd"[:classes]),
            "architecture": architecture,
            "head": head,
            "mean": tuple(mean),
            "std": (0.5, 0.5, 0.5),
            "pretrained": "none",
            "preprocess": PreprocessParams.model_validate(
                {"operations": ({"op": "resize", "size": 32, "mode": "pad"},)}
            ),
            "data": "",
            "code": {},
            "versions": {},
        }
    )


def make_params(**changes: Any) -> TrainParams:
    block: dict[str, Any] = {
        "trainable": "all",
        "head": "softmax",
        "epochs": 3,
        "batch_size": 8,
        "optimizer": {"kind": "adamw", "lr": 0.003},
        "schedule": {"kind": "cosine", "warmup": 0.5},
        "loss": {},
        "select": "loss",
        "augment": ({"op": "flip"}, {"op": "affine", "degrees": 10.0}, {"op": "noise", "sd": 0.05}),
        "seed": 1,
    }
    return TrainParams.model_validate(block | changes)


def make_samples(count: int, classes: int = 3, seed: int = 0) -> Samples:
    """Make images whose brightness depends on the class."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % classes
    noise = torch.randint(0, 60, (count, 32, 32), generator=generator)
    return Samples((noise + 60 * targets.view(-1, 1, 1)).to(torch.uint8), targets, torch.zeros(count, 0))


def make_model(**changes: Any) -> Classifier:
    torch.manual_seed(0)
    return Classifier(make_config(**changes))


def fit(scratch: Path, model: Classifier | None = None, **changes: Any) -> tuple[Classifier, TrainState]:
    """Train on 24 images, with 9 for validation."""
    model = model or make_model()
    train_set, val_set = make_samples(24), make_samples(9, seed=1)
    return model, train(model, train_set, val_set, EQUAL_WEIGHTS, make_params(**changes), FABRIC, scratch)


def have_same_weights(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
