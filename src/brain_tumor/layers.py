"""Parts of a network that heat maps are made of, found from the model, and left as they were."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from brain_tumor.classifier import Classifier
from brain_tumor.errors import UserError

Layer = Literal["last", "fine"]
FINE_REDUCTION = 16  # at 224 px most of these tumors are smaller than one 32-pixel cell of the last stage


class TokenMap(nn.Module):
    """A layer of a vision transformer whose patch tokens pass through `map` as an (N, C, h, w) image.

    Captum takes the second dimension for the channels: hooked to the layer itself it would average over
    features and weigh tokens, without a word.
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
    """Yield a module of the model whose output is an (N, C, h, w) map; the model is as before afterwards.

    Convolutional nets: a stage from timm's `feature_info`. Vision transformers: the first norm of the last
    block, for behind that block the class token alone feeds the head and patches have no gradient.
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
        raise UserError(f"grad-cam knows no map of {type(backbone).__name__}: use a convolutional net or a plain ViT")
    info = backbone.feature_info
    stages = [(stage["reduction"], stage["module"]) for stage in getattr(info, "info", info)]
    if layer == "fine":
        stages = [stage for stage in stages if stage[0] <= FINE_REDUCTION]
    yield backbone.get_submodule(stages[-1][1])


@contextmanager
def attention_weights(model: Classifier) -> Iterator[list[Tensor]]:
    """Yield a list that a forward pass fills with each block's attention (N, heads, T, T) after the softmax.

    timm's fused attention never forms these weights: it is switched off inside, which changes the logits by rounding
    alone, and back on afterwards.

    Raises:
        UserError: a network without plain self-attention over tokens, or one that kept its weights to itself.
    """
    backbone: Any = model.backbone
    modules: list[Any] = [module for module in backbone.modules() if hasattr(module, "fused_attn")]
    if not modules or not hasattr(backbone, "num_prefix_tokens") or not hasattr(backbone, "patch_embed"):
        raise UserError(f"{type(backbone).__name__} has no attention over patches: use a plain vision transformer")
    fused = [module.fused_attn for module in modules]
    found: list[Tensor] = []
    hooks = [module.attn_drop.register_forward_hook(lambda *seen: found.append(seen[-1])) for module in modules]
    try:
        for module in modules:
            module.fused_attn = False
        yield found
        if len(found) % len(modules):
            raise UserError(f"{type(backbone).__name__} gave the attention of {len(found)} of {len(modules)} blocks")
    finally:
        for hook in hooks:
            hook.remove()
        for module, was in zip(modules, fused, strict=True):
            module.fused_attn = was
