"""Methods that say what in an image speaks for a class: each one (N, 1, H, W) pixels → (N, h, w) relevance.

Targets are class numbers (N,). Relevance is 0 or more unless a method says otherwise, and is not normalized.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerGradCam, Occlusion
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.transforms.functional import gaussian_blur
from tqdm import tqdm

from brain_tumor.classifier import Classifier, to_unit
from brain_tumor.errors import UserError
from brain_tumor.layers import Layer, attention_weights, spatial_layer

Method = Literal[
    "grad-cam", "grad-cam++", "integrated-gradients", "attention-rollout", "attention-relevance", "occlusion"
]
CLASSLESS: tuple[Method, ...] = ("attention-rollout",)  # the same map for every class
STEPS = 32  # of Integrated Gradients
WINDOWS = 7  # of occlusion, along a side, each half over the next: 169 passes an image
BATCH = 16


class Explained(NamedTuple):
    """Maps (N, H, W), and of Integrated Gradients from black the share by which they miss their sum (N,)."""

    maps: NDArray[np.float32]
    missed: NDArray[np.float32] | None = None


class Scores(nn.Module):
    """Class scores of a classifier, so that the head's kind does not matter to a method."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model.scores(self.model(x))


def explain(
    method: Method, model: Classifier, images: Tensor, targets: Tensor, layer: Layer, device: torch.device
) -> Explained:
    """Explain one class an image, in batches.

    Args:
        images: (N, H, W) uint8; targets: (N,) class numbers.
        layer: of CAM methods.

    Raises:
        UserError: a network that the method is not defined for, or maps that are not finite.
    """
    maps, missed = [], []
    batches = zip(images.split(BATCH), targets.split(BATCH), strict=True)
    count = -(-len(images) // BATCH)
    for batch, wanted in tqdm(batches, method, count, unit="batch", leave=False) if count > 1 else batches:
        kept, gap = attribute(method, model, to_unit(batch, device), wanted.to(device), layer)
        maps.append(kept.cpu())
        if gap is not None:
            missed.append(gap.cpu())
    found: NDArray[np.float32] = torch.cat(maps).numpy() if maps else np.zeros(images.shape, np.float32)
    if not np.isfinite(found).all():
        raise UserError(f"{method} gave values that are not finite: the model's weights are damaged or diverged")
    return Explained(found, torch.cat(missed).numpy() if missed else None)


_Result = tuple[Tensor, Tensor | None]


def attribute(method: Method, model: Classifier, x: Tensor, targets: Tensor, layer: Layer) -> _Result:
    """Explain a batch (N, 1, H, W), 0 to 1, on the model's device: maps (N, H, W) as they come, and what they miss."""
    with torch.enable_grad():
        kept, missed = _FUNCTIONS[method](model, x.detach().requires_grad_(), targets, layer)
    maps = interpolate(kept.detach().float()[:, None], list(x.shape[2:]), mode="bilinear", align_corners=False)
    return maps[:, 0], None if missed is None else missed.detach().float()


def _grad_cam(model: Classifier, x: Tensor, targets: Tensor, layer: Layer) -> _Result:
    """Selvaraju et al. 2017."""
    with spatial_layer(model, layer) as module:
        kept: Tensor = LayerGradCam(Scores(model), module).attribute(x, target=targets, relu_attributions=True)
    return kept[:, 0], None


def _grad_cam_plus_plus(model: Classifier, x: Tensor, targets: Tensor, layer: Layer) -> _Result:
    """Chattopadhay et al. 2018, equation 19, for the exponential of the score.

    In double precision and without an epsilon: pooled networks have gradients whose squares are as small as one. The
    equation supposes maps that are 0 or more; where a stage ends without a rectifier (EfficientNet, ViT), what is
    below 0 is left out of its denominator, or alpha would have no bounds.
    """
    outputs: list[Tensor] = []
    with spatial_layer(model, layer) as module:
        hook = module.register_forward_hook(lambda *seen: outputs.append(seen[-1]))
        try:
            scores = Scores(model)(x)
        finally:
            hook.remove()
    (gradient,) = torch.autograd.grad(scores.gather(1, targets[:, None]).sum(), outputs[0])
    activation, gradient = outputs[0].detach().double(), gradient.double()
    below = 2 * gradient**2 + activation.relu().sum((2, 3), keepdim=True) * gradient**3
    alpha = torch.where(below != 0, gradient**2 / torch.where(below != 0, below, 1.0), 0.0)
    weights = (alpha * gradient.relu()).sum((2, 3), keepdim=True)
    return (weights * activation).sum(1).relu(), None


def _integrated_gradients(model: Classifier, x: Tensor, targets: Tensor, _: Layer) -> _Result:
    """Sundararajan et al. 2017, the mean of the ways from a black and from a blurred image; what speaks against is 0.

    Pixels are 0 to 1 here, before the model's own normalization: black is 0.
    """
    scores = Scores(model)
    method = IntegratedGradients(scores)
    side = int(x.shape[-1] / 8) * 2 + 1
    black, blurred = torch.zeros_like(x), gaussian_blur(x.detach(), [side, side], [side / 6, side / 6])
    options = {"target": targets, "n_steps": STEPS, "internal_batch_size": BATCH}
    maps = [method.attribute(x, baseline, **options)[:, 0] for baseline in (black, blurred)]
    with torch.no_grad():
        ends = scores(torch.cat([x, black])).gather(1, targets.repeat(2)[:, None])[:, 0]
    expected = ends[: len(x)] - ends[len(x) :]
    missed = (maps[0].sum((1, 2)) - expected).abs() / expected.abs().clamp_min(1e-6)
    return torch.stack(maps).mean(0).relu(), missed


def _rollout(model: Classifier, x: Tensor, _: Tensor, __: Layer) -> _Result:
    """Abnar and Zuidema 2020, with the residual term. It is the same for every class."""
    with attention_weights(model) as layers, torch.no_grad():
        model(x)
    rolled = torch.eye(layers[0].shape[-1], device=x.device, dtype=torch.float64)
    for weights in layers:
        mixed = weights.double().mean(1) / 2 + torch.eye(weights.shape[-1], device=x.device) / 2
        rolled = (mixed / mixed.sum(-1, keepdim=True)) @ rolled
    return _of_patches(model, rolled), None


def _relevance(model: Classifier, x: Tensor, targets: Tensor, _: Layer) -> _Result:
    """Gradient-weighted attention: Chefer et al., ICCV 2021, rules 5 and 6."""
    with attention_weights(model) as layers:
        score = Scores(model)(x).gather(1, targets[:, None]).sum()
    gradients = torch.autograd.grad(score, layers)
    related = torch.eye(layers[0].shape[-1], device=x.device, dtype=torch.float64)
    for weights, gradient in zip(layers, gradients, strict=True):
        related = related + (weights.detach() * gradient).relu().double().mean(1) @ related
    return _of_patches(model, related), None


def _occlusion(model: Classifier, x: Tensor, targets: Tensor, _: Layer) -> _Result:
    """Zeiler and Fergus 2014: how far the score falls when a window is blackened. It asks for no gradient."""
    window = -(-x.shape[-1] // WINDOWS)
    method, sides = Occlusion(Scores(model)), (1, window, window)
    strides = (1, max(1, window // 2), max(1, window // 2))
    with torch.no_grad():
        found: Tensor = method.attribute(x, sides, strides, 0.0, targets, perturbations_per_eval=4)
    return found[:, 0].relu(), None


def _of_patches(model: Classifier, tokens: Tensor) -> Tensor:
    """(N, T, T) relevance of tokens to tokens → (N, h, w) of the patches to what the head reads."""
    backbone: Any = model.backbone
    prefix, grid = int(backbone.num_prefix_tokens), backbone.patch_embed.grid_size
    read = tokens[:, 0] if getattr(backbone, "global_pool", "token") == "token" else tokens[:, prefix:].mean(1)
    patches: Tensor = read[:, prefix:].unflatten(1, grid)
    return patches


_FUNCTIONS: dict[Method, Callable[[Classifier, Tensor, Tensor, Layer], _Result]] = {
    "grad-cam": _grad_cam,
    "grad-cam++": _grad_cam_plus_plus,
    "integrated-gradients": _integrated_gradients,
    "attention-rollout": _rollout,
    "attention-relevance": _relevance,
    "occlusion": _occlusion,
}
