"""Class activation maps: relevance (N, h, w) from the activations of a layer and their gradients, both (N, C, h, w).

All of them are computed from the same forward and backward pass.
"""

from typing import Any

import torch
from torch import Tensor

from brain_tumor.attribution.layers import Layer, spatial_layer
from brain_tumor.models.classifier import Classifier


def layer_gradients(model: Classifier, x: Tensor, targets: Tensor, layer: Layer) -> tuple[Tensor, Tensor]:
    """Compute the activations of a layer, and the gradients of the class scores with respect to them.

    Below the layer nothing is recorded for a backward pass, which is therefore short.

    Args:
        x: (N, 1, H, W), 0 to 1.
        targets: (N,) class numbers.
    """
    outputs: list[Tensor] = []

    def start_recording(*args: Any) -> Tensor:
        outputs.append(args[-1].detach().requires_grad_())
        torch.set_grad_enabled(True)
        return outputs[-1].clone()  # the next layer may work in place

    with torch.no_grad(), spatial_layer(model, layer) as module:
        hook = module.register_forward_hook(start_recording)
        try:
            scores = model.scores(model(x))
        finally:
            hook.remove()
        (gradients,) = torch.autograd.grad(scores.gather(1, targets[:, None]).sum(), outputs[0])
    return outputs[0].detach(), gradients


def grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017): channels weighted by their mean gradient."""
    return (gradients.mean((2, 3), keepdim=True) * activations).sum(1).relu()


def grad_cam_plus_plus(activations: Tensor, gradients: Tensor) -> Tensor:
    """Grad-CAM++ (Chattopadhay et al. 2018, equation 19) for the exponential of the score.

    Computed in double precision and without an epsilon, since squared gradients of pooled networks are tiny. The
    equation assumes activations of 0 or more. Where a stage ends without a ReLU (EfficientNet, ViT), negative
    activations are left out of its denominator; otherwise alpha would be unbounded.
    """
    activations, gradients = activations.double(), gradients.double()
    denominator = 2 * gradients**2 + activations.relu().sum((2, 3), keepdim=True) * gradients**3
    alpha = torch.where(denominator != 0, gradients**2 / torch.where(denominator != 0, denominator, 1.0), 0.0)
    weights = (alpha * gradients.relu()).sum((2, 3), keepdim=True)
    return (weights * activations).sum(1).relu()


def layer_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """LayerCAM (Jiang et al. 2021): each activation weighted by its own positive gradient."""
    return (gradients.relu() * activations).sum(1).relu()


def hi_res_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """HiResCAM (Draelos and Carin 2020): each activation weighted by its own gradient."""
    return (gradients * activations).sum(1).relu()
