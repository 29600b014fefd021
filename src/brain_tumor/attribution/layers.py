"""Access to the layers of a network that attribution methods need; the model is left unchanged."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from brain_tumor.core.errors import UserError
from brain_tumor.models.classifier import Classifier

Layer = Literal["last", "fine"]
FINE_REDUCTION = 16  # pixels per cell; at 224 px most tumors are smaller than one 32-pixel cell of the last stage


class TokenMap(nn.Module):
    """A layer of a vision transformer whose patch tokens pass through `map` as an (N, C, h, w) image.

    Captum takes the second dimension for the channels. With a hook on the layer itself, it would silently average
    over features and weight tokens.
    """

    def __init__(self, layer: nn.Module, num_prefix_tokens: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.layer, self.num_prefix_tokens, self.grid = layer, num_prefix_tokens, grid
        self.map = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, prefix + h·w, C) tokens → the layer's output, unchanged."""
        tokens: Tensor = self.layer(x)
        prefix, patches = tokens[:, : self.num_prefix_tokens], tokens[:, self.num_prefix_tokens :]
        image = self.map(patches.transpose(1, 2).unflatten(2, self.grid))
        return torch.cat([prefix, image.flatten(2).transpose(1, 2)], 1)


@contextmanager
def spatial_layer(model: Classifier, layer: Layer) -> Iterator[nn.Module]:
    """Yield a module of the model whose output is an (N, C, h, w) map; afterwards the model is restored.

    Convolutional networks: a stage from timm's `feature_info`. Vision transformers: the first norm of the last
    block; after that block only the class token feeds the head, and patches have no gradient.

    Raises:
        UserError: the network has no such layer.
    """
    backbone: Any = model.backbone
    blocks = getattr(backbone, "blocks", None)
    if hasattr(backbone, "patch_embed") and hasattr(backbone, "num_prefix_tokens") and blocks is not None:
        last = blocks[-1]
        last.norm1 = TokenMap(last.norm1, backbone.num_prefix_tokens, backbone.patch_embed.grid_size)
        try:
            yield last.norm1.map
        finally:
            last.norm1 = last.norm1.layer
        return
    if getattr(backbone, "output_fmt", "NCHW") != "NCHW" or not getattr(backbone, "feature_info", None):
        name = type(backbone).__name__
        raise UserError(f"grad-cam does not support {name}: use a convolutional network or a plain vision transformer")
    info = backbone.feature_info
    stages = [(stage["reduction"], stage["module"]) for stage in getattr(info, "info", info)]
    if layer == "fine":
        stages = [stage for stage in stages if stage[0] <= FINE_REDUCTION]
    yield backbone.get_submodule(stages[-1][1])


@contextmanager
def attention_weights(model: Classifier) -> Iterator[list[Tensor]]:
    """Yield a list that a forward pass fills with each block's attention (N, heads, T, T) after the softmax.

    timm's fused attention does not compute these weights. It is disabled inside the context, which changes the logits
    only by rounding, and enabled again afterwards.

    Raises:
        UserError: the network has no plain self-attention over tokens, or some blocks do not expose their weights.
    """
    backbone: Any = model.backbone
    modules: list[Any] = [module for module in backbone.modules() if hasattr(module, "fused_attn")]
    if not modules or not hasattr(backbone, "num_prefix_tokens") or not hasattr(backbone, "patch_embed"):
        raise UserError(f"{type(backbone).__name__} has no attention over patches: use a plain vision transformer")
    fused = [module.fused_attn for module in modules]
    weights: list[Tensor] = []
    hooks = [module.attn_drop.register_forward_hook(lambda *args: weights.append(args[-1])) for module in modules]
    try:
        for module in modules:
            module.fused_attn = False
        yield weights
        if len(weights) % len(modules):
            name = type(backbone).__name__
            raise UserError(f"{name}: only {len(weights)} of {len(modules)} blocks expose their attention weights")
    finally:
        for hook in hooks:
            hook.remove()
        for module, is_fused in zip(modules, fused, strict=True):
            module.fused_attn = is_fused
