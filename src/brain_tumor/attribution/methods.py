"""Attribution methods: each maps pixels (N, 1, H, W) and class numbers (N,) to relevance (N, h, w).

Relevance is evidence for the class, 0 or more, and not normalized.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from captum.attr import IntegratedGradients, Occlusion
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.transforms.functional import gaussian_blur
from tqdm import tqdm

from brain_tumor.attribution import cams
from brain_tumor.attribution.layers import Layer, attention_weights
from brain_tumor.core.errors import UserError
from brain_tumor.core.types import Floats, Maps
from brain_tumor.models.classifier import Classifier, to_unit

Method = Literal[
    "grad-cam",
    "grad-cam++",
    "layer-cam",
    "hires-cam",
    "integrated-gradients",
    "attention-rollout",
    "attention-relevance",
    "occlusion",
]
CLASS_AGNOSTIC: tuple[Method, ...] = ("attention-rollout",)  # the same map for every class
IG_STEPS = 32  # of Integrated Gradients, from each baseline
OCCLUSION_GRID = 7  # windows along a side; with steps of half a window: 169 forward passes per image
BATCH_SIZE = 16


class Attributions(NamedTuple):
    """Heat maps of images.

    Attributes:
        maps: (N, H, W), 0 or more.
        convergence_delta: (N,) of Integrated Gradients from black: |sum of the attributions − change of the score| as
            a fraction of |change of the score|. None for other methods.
    """

    maps: Maps
    convergence_delta: Floats | None = None


class ClassScores(nn.Module):
    """Class scores (N, K) of a classifier with either kind of head."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model.scores(self.model(x))


def compute_attributions(
    methods: Sequence[Method], model: Classifier, images: Tensor, targets: Tensor, layer: Layer, device: torch.device
) -> dict[Method, Attributions]:
    """Explain one class for each image by some methods, in batches of BATCH_SIZE.

    Args:
        images: (N, H, W) uint8.
        targets: (N,) class numbers.
        layer: layer of CAM methods, which share one forward and backward pass.

    Raises:
        UserError: a method is not defined for the network, or maps are not finite.
    """
    maps: dict[Method, list[Tensor]] = {method: [] for method in methods}
    deltas: dict[Method, list[Tensor]] = {method: [] for method in methods}
    batches = zip(images.split(BATCH_SIZE), targets.split(BATCH_SIZE), strict=True)
    count = -(-len(images) // BATCH_SIZE)
    title = ", ".join(methods)
    for batch, target in tqdm(batches, title, count, unit="batch", leave=False) if count > 1 else batches:
        for method, (relevance, delta) in attribute(
            methods, model, to_unit(batch, device), target.to(device), layer
        ).items():
            maps[method].append(relevance.cpu())
            if delta is not None:
                deltas[method].append(delta.cpu())
    result = {}
    for method in methods:
        values: Maps = torch.cat(maps[method]).numpy() if maps[method] else np.zeros(images.shape, np.float32)
        if not np.isfinite(values).all():
            raise UserError(f"{method}: maps are not finite; the model's weights are corrupted or training diverged")
        delta_values = torch.cat(deltas[method]).double().numpy() if deltas[method] else None
        result[method] = Attributions(values, delta_values)
    return result


_Result = tuple[Tensor, Tensor | None]  # relevance, convergence delta


def attribute(
    methods: Sequence[Method], model: Classifier, x: Tensor, targets: Tensor, layer: Layer
) -> dict[Method, _Result]:
    """Explain a batch on the model's device.

    Args:
        x: (N, 1, H, W), 0 to 1.
        targets: (N,) class numbers.
        layer: layer of CAM methods.

    Returns:
        By method: maps (N, H, W), and the convergence delta (N,) of Integrated Gradients or None.
    """
    results: dict[Method, _Result] = {}
    if any(method in _CAMS for method in methods):
        activations, gradients = cams.layer_gradients(model, x, targets, layer)
    for method in methods:
        if method in _CAMS:
            results[method] = _CAMS[method](activations, gradients), None
        else:
            with torch.enable_grad():
                results[method] = _FUNCTIONS[method](model, x.detach().requires_grad_(), targets)
    return {
        method: (_upsample(relevance, x), None if delta is None else delta.detach().float())
        for method, (relevance, delta) in results.items()
    }


def _upsample(relevance: Tensor, x: Tensor) -> Tensor:
    maps = interpolate(relevance.detach().float()[:, None], list(x.shape[2:]), mode="bilinear", align_corners=False)
    return maps[:, 0]


def _integrated_gradients(model: Classifier, x: Tensor, targets: Tensor) -> _Result:
    """Integrated Gradients (Sundararajan et al. 2017), mean over a black and a blurred baseline; negative values are 0.

    Pixels are 0 to 1, before the normalization inside the model: black is 0.
    """
    scores = ClassScores(model)
    method = IntegratedGradients(scores)
    side = int(x.shape[-1] / 8) * 2 + 1
    black, blurred = torch.zeros_like(x), gaussian_blur(x.detach(), [side, side], [side / 6, side / 6])
    options = {"target": targets, "n_steps": IG_STEPS, "internal_batch_size": BATCH_SIZE}
    maps = [method.attribute(x, baseline, **options)[:, 0] for baseline in (black, blurred)]
    with torch.no_grad():
        ends = scores(torch.cat([x, black])).gather(1, targets.repeat(2)[:, None])[:, 0]
    expected = ends[: len(x)] - ends[len(x) :]
    delta = (maps[0].sum((1, 2)) - expected).abs() / expected.abs().clamp_min(1e-6)
    return torch.stack(maps).mean(0).relu(), delta


def _attention_rollout(model: Classifier, x: Tensor, _: Tensor) -> _Result:
    """Attention rollout (Abnar and Zuidema 2020) with the residual term; the same map for every class."""
    with attention_weights(model) as layers, torch.no_grad():
        model(x)
    rolled = torch.eye(layers[0].shape[-1], device=x.device, dtype=torch.float64)
    for weights in layers:
        mixed = weights.double().mean(1) / 2 + torch.eye(weights.shape[-1], device=x.device) / 2
        rolled = (mixed / mixed.sum(-1, keepdim=True)) @ rolled
    return _tokens_to_map(model, rolled), None


def _attention_relevance(model: Classifier, x: Tensor, targets: Tensor) -> _Result:
    """Gradient-weighted attention relevance (Chefer et al., ICCV 2021, rules 5 and 6)."""
    with attention_weights(model) as layers:
        score = ClassScores(model)(x).gather(1, targets[:, None]).sum()
    gradients = torch.autograd.grad(score, layers)
    related = torch.eye(layers[0].shape[-1], device=x.device, dtype=torch.float64)
    for weights, gradient in zip(layers, gradients, strict=True):
        related = related + (weights.detach() * gradient).relu().double().mean(1) @ related
    return _tokens_to_map(model, related), None


def _occlusion(model: Classifier, x: Tensor, targets: Tensor) -> _Result:
    """Occlusion (Zeiler and Fergus 2014): the drop of the score when a window turns black. Gradient-free."""
    window = -(-x.shape[-1] // OCCLUSION_GRID)
    method, sides = Occlusion(ClassScores(model)), (1, window, window)
    strides = (1, max(1, window // 2), max(1, window // 2))
    with torch.no_grad():
        relevance: Tensor = method.attribute(x, sides, strides, 0.0, targets, perturbations_per_eval=4)
    return relevance[:, 0].relu(), None


def _tokens_to_map(model: Classifier, tokens: Tensor) -> Tensor:
    """(N, T, T) relevance of tokens to tokens → (N, h, w) relevance of the patches to the input of the head."""
    backbone: Any = model.backbone
    prefix, grid = int(backbone.num_prefix_tokens), backbone.patch_embed.grid_size
    pooled = tokens[:, 0] if getattr(backbone, "global_pool", "token") == "token" else tokens[:, prefix:].mean(1)
    patches: Tensor = pooled[:, prefix:].unflatten(1, grid)
    return patches


_CAMS: Mapping[Method, Callable[[Tensor, Tensor], Tensor]] = {
    "grad-cam": cams.grad_cam,
    "grad-cam++": cams.grad_cam_plus_plus,
    "layer-cam": cams.layer_cam,
    "hires-cam": cams.hi_res_cam,
}
_FUNCTIONS: Mapping[Method, Callable[[Classifier, Tensor, Tensor], _Result]] = {
    "integrated-gradients": _integrated_gradients,
    "attention-rollout": _attention_rollout,
    "attention-relevance": _attention_relevance,
    "occlusion": _occlusion,
}


def normalize_maps(maps: Maps) -> Maps:
    """Scale each (H, W) map to 0 to 1 by its own maximum; an empty map stays empty."""
    maximum = maps.reshape(len(maps), -1).max(1).reshape(-1, 1, 1)
    scaled: Maps = np.divide(maps, maximum, out=np.zeros_like(maps), where=maximum > 0)
    return scaled
