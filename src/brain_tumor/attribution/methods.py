"""Attribution methods: each maps pixels (N, 1, H, W) and class numbers (N,) to relevance (N, h, w).

Relevance is evidence for the class, 0 or more, and not normalized.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerGradCam, Occlusion
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.transforms.functional import gaussian_blur
from tqdm import tqdm

from brain_tumor.attribution.layers import Layer, attention_weights, spatial_layer
from brain_tumor.core.errors import UserError
from brain_tumor.core.types import Floats, Maps
from brain_tumor.models.classifier import Classifier, to_unit

Method = Literal[
    "grad-cam", "grad-cam++", "integrated-gradients", "attention-rollout", "attention-relevance", "occlusion"
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
    method: Method, model: Classifier, images: Tensor, targets: Tensor, layer: Layer, device: torch.device
) -> Attributions:
    """Explain one class for each image, in batches of BATCH_SIZE.

    Args:
        images: (N, H, W) uint8.
        targets: (N,) class numbers.
        layer: layer of CAM methods.

    Raises:
        UserError: the method is not defined for the network, or maps are not finite.
    """
    maps, deltas = [], []
    batches = zip(images.split(BATCH_SIZE), targets.split(BATCH_SIZE), strict=True)
    count = -(-len(images) // BATCH_SIZE)
    for batch, target in tqdm(batches, method, count, unit="batch", leave=False) if count > 1 else batches:
        relevance, delta = attribute(method, model, to_unit(batch, device), target.to(device), layer)
        maps.append(relevance.cpu())
        if delta is not None:
            deltas.append(delta.cpu())
    result: Maps = torch.cat(maps).numpy() if maps else np.zeros(images.shape, np.float32)
    if not np.isfinite(result).all():
        raise UserError(f"{method}: maps are not finite; the model's weights are corrupted or training diverged")
    return Attributions(result, torch.cat(deltas).double().numpy() if deltas else None)


_Result = tuple[Tensor, Tensor | None]  # relevance, convergence delta


def attribute(method: Method, model: Classifier, x: Tensor, targets: Tensor, layer: Layer) -> _Result:
    """Explain a batch on the model's device.

    Args:
        x: (N, 1, H, W), 0 to 1.
        targets: (N,) class numbers.
        layer: layer of CAM methods.

    Returns:
        Maps (N, H, W), and the convergence delta (N,) of Integrated Gradients or None.
    """
    with torch.enable_grad():
        relevance, delta = _FUNCTIONS[method](model, x.detach().requires_grad_(), targets, layer)
    maps = interpolate(relevance.detach().float()[:, None], list(x.shape[2:]), mode="bilinear", align_corners=False)
    return maps[:, 0], None if delta is None else delta.detach().float()


def _grad_cam(model: Classifier, x: Tensor, targets: Tensor, layer: Layer) -> _Result:
    """Grad-CAM (Selvaraju et al. 2017)."""
    with spatial_layer(model, layer) as module:
        cam: Tensor = LayerGradCam(ClassScores(model), module).attribute(x, target=targets, relu_attributions=True)
    return cam[:, 0], None


def _grad_cam_plus_plus(model: Classifier, x: Tensor, targets: Tensor, layer: Layer) -> _Result:
    """Grad-CAM++ (Chattopadhay et al. 2018, equation 19) for the exponential of the score.

    Computed in double precision and without an epsilon, since squared gradients of pooled networks are tiny. The
    equation assumes activations of 0 or more. Where a stage ends without a ReLU (EfficientNet, ViT), negative
    activations are left out of its denominator; otherwise alpha would be unbounded.
    """
    outputs: list[Tensor] = []
    with spatial_layer(model, layer) as module:
        hook = module.register_forward_hook(lambda *args: outputs.append(args[-1]))
        try:
            scores = ClassScores(model)(x)
        finally:
            hook.remove()
    (gradient,) = torch.autograd.grad(scores.gather(1, targets[:, None]).sum(), outputs[0])
    activation, gradient = outputs[0].detach().double(), gradient.double()
    denominator = 2 * gradient**2 + activation.relu().sum((2, 3), keepdim=True) * gradient**3
    alpha = torch.where(denominator != 0, gradient**2 / torch.where(denominator != 0, denominator, 1.0), 0.0)
    weights = (alpha * gradient.relu()).sum((2, 3), keepdim=True)
    return (weights * activation).sum(1).relu(), None


def _integrated_gradients(model: Classifier, x: Tensor, targets: Tensor, _: Layer) -> _Result:
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


def _attention_rollout(model: Classifier, x: Tensor, _: Tensor, __: Layer) -> _Result:
    """Attention rollout (Abnar and Zuidema 2020) with the residual term; the same map for every class."""
    with attention_weights(model) as layers, torch.no_grad():
        model(x)
    rolled = torch.eye(layers[0].shape[-1], device=x.device, dtype=torch.float64)
    for weights in layers:
        mixed = weights.double().mean(1) / 2 + torch.eye(weights.shape[-1], device=x.device) / 2
        rolled = (mixed / mixed.sum(-1, keepdim=True)) @ rolled
    return _tokens_to_map(model, rolled), None


def _attention_relevance(model: Classifier, x: Tensor, targets: Tensor, _: Layer) -> _Result:
    """Gradient-weighted attention relevance (Chefer et al., ICCV 2021, rules 5 and 6)."""
    with attention_weights(model) as layers:
        score = ClassScores(model)(x).gather(1, targets[:, None]).sum()
    gradients = torch.autograd.grad(score, layers)
    related = torch.eye(layers[0].shape[-1], device=x.device, dtype=torch.float64)
    for weights, gradient in zip(layers, gradients, strict=True):
        related = related + (weights.detach() * gradient).relu().double().mean(1) @ related
    return _tokens_to_map(model, related), None


def _occlusion(model: Classifier, x: Tensor, targets: Tensor, _: Layer) -> _Result:
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


_FUNCTIONS: dict[Method, Callable[[Classifier, Tensor, Tensor, Layer], _Result]] = {
    "grad-cam": _grad_cam,
    "grad-cam++": _grad_cam_plus_plus,
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
