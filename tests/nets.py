"""Nets small enough to be trained in a second, and images for them."""

from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from brain_tumor.classifier import Classifier, ModelCard
from brain_tumor.enhance import EnhanceParams
from brain_tumor.resuming import State
from brain_tumor.rows import Rows
from brain_tumor.runtime import Runtime
from brain_tumor.training import TrainParams, train

CPU = torch.device("cpu")
ONE = Runtime(Fabric(accelerator="cpu", devices=1))
EVEN = [1.0, 1.0, 1.0]


def card(architecture: str = "resnet10t", classes: int = 3, head: str = "softmax", mean: Any = (0.5,) * 3) -> ModelCard:
    return ModelCard.model_validate(
        {
            "recipe": "r",
            "dataset": "d",
            "generated_data": True,
            "classes": tuple("abc"[:classes]),
            "architecture": architecture,
            "head": head,
            "mean": tuple(mean),
            "std": (0.5, 0.5, 0.5),
            "pretrained": "none",
            "enhance": EnhanceParams.model_validate({"operations": ({"op": "resize", "size": 32, "mode": "pad"},)}),
            "data": "",
            "code": {},
            "versions": {},
        }
    )


def params(**changes: Any) -> TrainParams:
    block: dict[str, Any] = {
        "trained": "all",
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


def rows(count: int, classes: int = 3, seed: int = 0) -> Rows:
    """Images whose brightness tells the class."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % classes
    noise = torch.randint(0, 60, (count, 32, 32), generator=generator)
    return Rows((noise + 60 * targets.view(-1, 1, 1)).to(torch.uint8), targets, torch.zeros(count, 0))


def model(**changes: Any) -> Classifier:
    torch.manual_seed(0)
    return Classifier(card(**changes))


def fit(scratch: Path, net: Classifier | None = None, **changes: Any) -> tuple[Classifier, State]:
    net = net or model()
    return net, train(net, rows(24), rows(9, seed=1), EVEN, params(**changes), ONE, scratch)


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
