"""Freezing parts of a network, and computing the features of a frozen backbone once."""

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.lib.format import open_memmap
from pydantic import Field
from timm.models import group_parameters
from torch import Tensor, nn
from tqdm import tqdm

from brain_tumor.models.classifier import Classifier, to_unit

# `all`, `head`, or the number of last blocks to train in addition to the head.
Trainable = Literal["all", "head"] | Annotated[int, Field(ge=1)]
FEATURE_BATCH_SIZE = 64


def freeze_backbone(model: Classifier, trainable: Trainable) -> None:
    """Freeze all parameters of the backbone except those of `trainable`."""
    backbone: Any = model.backbone
    parameters = dict(backbone.named_parameters())
    trainable_ids = {id(parameter) for parameter in backbone.get_classifier().parameters()}
    if isinstance(trainable, int):
        groups = list(group_parameters(backbone, backbone.group_matcher(coarse=False)).values())
        # timm's last group is the head with its norm layers; the blocks come before it.
        names = [name for group in groups[-1 - trainable :] for name in group if name in parameters]
        trainable_ids |= {id(parameters[name]) for name in names}
    for parameter in parameters.values():
        parameter.requires_grad_(trainable == "all" or id(parameter) in trainable_ids)


def set_train_mode(net: nn.Module) -> None:
    """Set trainable modules to training mode; frozen ones keep their batch statistics and have no dropout."""
    net.eval()
    for module in net.modules():
        trainable = [parameter.requires_grad for parameter in module.parameters()]
        module.training = module.training or any(trainable)
        # Modules without parameters, such as dropout, have the mode of the module that contains them.
        for child in module.children() if trainable and all(trainable) else ():
            if not list(child.parameters()):
                child.train()


class FeatureExtractor(nn.Module):
    """A timm backbone without its classification layer: (N, C, H, W) normalized images to (N, D) features."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, x: Tensor) -> Tensor:
        """Compute the features."""
        features: Tensor = self.backbone.forward_head(self.backbone.forward_features(x), pre_logits=True)
        return features


class TrainableHead(nn.Module):
    """The classification layers of a classifier, as a network over the features of its frozen backbone."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        backbone: Any = model.backbone
        self.end, self.metadata = backbone.get_classifier(), model.metadata

    def forward(self, x: Tensor, metadata: Tensor) -> Tensor:
        """Compute logits of (N, D) features and (N, M) metadata."""
        logits: Tensor = self.metadata(self.end(x), metadata)
        return logits


def cache_features(model: Classifier, images: Tensor, device: torch.device, path: Path) -> Tensor:
    """Compute the backbone's features of (N, H, W) uint8 images: (N, D) float32, memory-mapped from the file `path`."""
    if not len(images):
        return torch.empty(0, 0)
    extractor = FeatureExtractor(model.backbone).eval()
    done, features = 0, np.empty(0, np.float32)
    for batch in tqdm(images.split(FEATURE_BATCH_SIZE), "frozen features", unit="batch", mininterval=2):
        with torch.inference_mode():
            result = extractor(model.normalize(to_unit(batch, device))).float().cpu().numpy()
        if done == 0:
            features = open_memmap(path, "w+", np.float32, (len(images), *result.shape[1:]))
        features[done : done + len(result)] = result
        done += len(result)
    return torch.from_numpy(features)
