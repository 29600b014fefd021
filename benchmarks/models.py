"""The networks of the benchmarks, with random weights."""

import torch
from timm.models import get_pretrained_cfg

from brain_tumor.models.classifier import Classifier, ModelConfig

SIDE = 224
CLASSES = ("a", "b", "c", "d")
MODELS = ("vit_base_patch16_224", "resnet50", "efficientnet_b0", "tf_efficientnet_lite0")


def make_config(architecture: str) -> ModelConfig:
    """Make a configuration like those of the recipes, with the network's own normalization."""
    pretrained = get_pretrained_cfg(architecture)
    assert pretrained is not None
    fields = {"recipe": "", "dataset": "", "generated_data": True, "classes": CLASSES, "architecture": architecture}
    fields |= {"head": "softmax", "mean": pretrained.mean, "std": pretrained.std, "pretrained": ""}
    fields |= {"data": "", "code": {}, "versions": {}}
    fields["preprocess"] = {"operations": ({"op": "resize", "size": SIDE, "mode": "stretch"},)}
    return ModelConfig.model_validate(fields)


def make_classifier(architecture: str) -> Classifier:
    """Make a classifier like those of the recipes."""
    torch.manual_seed(0)
    return Classifier(make_config(architecture))
