"""Models and images whose explanations are known: a network that can be explained by hand, and synthetic lesions."""

from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from torch import nn

from brain_tumor.attribution.control_maps import blurred_noise_maps
from brain_tumor.attribution.methods import Attributions, Method, compute_attributions
from brain_tumor.core.types import Gray, Ints, Maps, Masks
from brain_tumor.models.classifier import Classifier
from nets import CPU, make_config

LESION_SIDE = 48


class TwoMaps(nn.Module):
    """A network whose Grad-CAM is known: two maps (the image, and one minus it), pooled, then weighted."""

    feature_info = ({"reduction": 1, "module": "maps"},)

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(1, 2, 1)
        self.maps.weight.data = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
        self.maps.bias = nn.Parameter(torch.tensor([0.0, 1.0]))
        self.head = nn.Linear(2, 2, bias=False)
        self.head.weight.data = torch.tensor([[3.0, 0.0], [0.0, 2.0]])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.head(self.maps(x).mean((2, 3))))


def make_two_maps() -> Classifier:
    """Make a classifier of two classes around TwoMaps, without normalization."""
    model = Classifier(make_config(classes=2))
    model.mean, model.std = torch.zeros(1), torch.ones(1)
    model.backbone = TwoMaps()
    return model.eval()


def make_bright_pixel() -> torch.Tensor:
    """Make a black image (1, 8, 8) with one white pixel."""
    image = torch.zeros(1, 8, 8, dtype=torch.uint8)
    image[0, 2, 5] = 255
    return image


def make_vit() -> tuple[Classifier, torch.Tensor]:
    """Make a vision transformer with random weights, and three images (3, 32, 32)."""
    torch.manual_seed(0)
    model = Classifier(make_config("vit_tiny_patch16_224")).eval()
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.1)  # with the default weights, attention is uniform
    return model, torch.randint(0, 255, (3, 32, 32), dtype=torch.uint8)


def attribute_on_cpu(
    method: Method, model: Classifier, images: torch.Tensor, targets: Any, layer: Any = "last"
) -> Attributions:
    """Explain images (N, H, W) for one class each."""
    return compute_attributions([method], model, images, torch.as_tensor(targets), layer, CPU)[method]


def compute_maps(method: Method, model: Classifier, images: torch.Tensor, targets: Any, layer: Any = "last") -> Maps:
    """Explain images (N, H, W) for one class each; only the maps."""
    return attribute_on_cpu(method, model, images, targets, layer).maps


def make_lesions(count: int, seed: int) -> tuple[Gray, Ints, Masks]:
    """Make textured images (N, 48, 48) with a filled or a hollow square at a random position.

    Returns:
        The images, their classes (0 filled, 1 hollow), and masks of the squares.
    """
    random = np.random.default_rng(seed)
    images = blurred_noise_maps(np.zeros((count, LESION_SIDE, LESION_SIDE), np.uint8), random)
    images = 60 + 60 * images / images.max((1, 2), keepdims=True) + random.normal(0, 5, images.shape)
    masks = np.zeros(images.shape, bool)
    classes = np.arange(count) % 2
    for image, mask, label in zip(images, masks, classes, strict=True):
        top, left = random.integers(4, LESION_SIDE - 18, 2)
        mask[top : top + 14, left : left + 14] = True
        image[mask] += 90
        if label:
            image[top + 3 : top + 11, left + 3 : left + 11] -= 140
    return images.clip(0, 255).astype(np.uint8), classes, masks


def get_value(
    table: pd.DataFrame, map_name: str, metric: str, baseline: str = "", stage: str = "", region: str = ""
) -> float:
    """Look up a metric over all classes in a table as `tabulate_means` makes it."""
    columns = {"map": map_name, "metric": metric, "baseline": baseline, "stage": stage, "region": region}
    columns |= {"size": "", "class": ""}
    matches = table[(table[list(columns)] == list(columns.values())).all(axis=1)]
    (value,) = matches["value"]
    return float(value)
