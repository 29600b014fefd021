"""The networks that are measured, from random weights."""

import torch
from timm.models import get_pretrained_cfg

from brain_tumor.classifier import Classifier, ModelCard

SIDE = 224
CLASSES = ("a", "b", "c", "d")
MODELS = ("vit_base_patch16_224", "resnet50", "efficientnet_b0", "tf_efficientnet_lite0")


def card(architecture: str) -> ModelCard:
    """A description as recipes have it, with the network's own normalization."""
    config = get_pretrained_cfg(architecture)
    assert config is not None
    fields = {"recipe": "", "dataset": "", "generated_data": True, "classes": CLASSES, "architecture": architecture}
    fields |= {"head": "softmax", "mean": config.mean, "std": config.std, "pretrained": ""}
    fields |= {"data": "", "code": {}, "versions": {}}
    fields["enhance"] = {"operations": ({"op": "resize", "size": SIDE, "mode": "squash"},)}
    return ModelCard.model_validate(fields)


def classifier(architecture: str) -> Classifier:
    """A classifier as recipes have it."""
    torch.manual_seed(0)
    return Classifier(card(architecture))
