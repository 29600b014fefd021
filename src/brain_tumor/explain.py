"""Heat maps of what a model looks at, and the rule that chooses the cases shown."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from captum.attr import LayerGradCam
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate
from tqdm import tqdm

from brain_tumor.classifier import Classifier, to_unit
from brain_tumor.errors import UserError
from brain_tumor.params import Block

FINE_REDUCTION = 16  # at 224 px most of these tumors are smaller than one 32-pixel cell of the last stage


class ExplainParams(Block):
    """`recipes.<name>.explain`.

    `layer`: `last`, the usual last stage, or `fine`, the deepest one whose cells span at most 16 pixels.
    `cases`: most cases a kind (right, wrong) and class; `seed` draws the typical right ones.
    """

    methods: tuple[Literal["grad-cam"], ...]
    layer: Literal["last", "fine"]
    cases: int = Field(ge=1)
    seed: int


class _Scores(nn.Module):
    """Class scores of a classifier, so that the head's kind does not matter to a method."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model.scores(self.model(x))


def grad_cam(
    model: Classifier, images: Tensor, targets: Tensor, layer: Literal["last", "fine"], device: torch.device
) -> NDArray[np.float32]:
    """Grad-CAM (Selvaraju et al. 2017) of one class an image.

    Args:
        images: (N, H, W) uint8.
        targets: (N,) class numbers.

    Returns:
        (N, H, W) relevance, 0 or more, not normalized.

    Raises:
        UserError: a map that is not finite.
    """
    maps = []
    with spatial_layer(model, layer) as module:
        method = LayerGradCam(_Scores(model), module)
        batches = zip(images.split(32), targets.split(32), strict=True)
        for batch, wanted in tqdm(batches, "Grad-CAM", -(-len(images) // 32), unit="batch"):
            x = to_unit(batch, device).requires_grad_()
            kept: Tensor = method.attribute(x, target=wanted.to(device), relu_attributions=True)
            size = list(batch.shape[1:])
            maps.append(interpolate(kept.detach().float(), size, mode="bilinear", align_corners=False)[:, 0].cpu())
    found: NDArray[np.float32] = torch.cat(maps).numpy()
    if not np.isfinite(found).all():
        raise UserError("Grad-CAM gave values that are not finite: the model's weights are damaged or diverged")
    return found


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
def spatial_layer(model: Classifier, layer: Literal["last", "fine"]) -> Iterator[nn.Module]:
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


def normalize(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale each (H, W) map to 0..1 by its own maximum; a map of zeros stays one."""
    top = maps.reshape(len(maps), -1).max(1).reshape(-1, 1, 1)
    scaled: NDArray[np.float32] = np.divide(maps, top, out=np.zeros_like(maps), where=top > 0)
    return scaled


def choose_cases(predictions: pd.DataFrame, classes: Sequence[str], params: ExplainParams) -> pd.DataFrame:
    """Choose the cases to show, by rule and never by hand.

    For each true class up to `cases` right predictions drawn with the seed, and up to `cases` wrong ones, the
    most certain first. Added columns: kind ('right' or 'wrong'), p (probability of the predicted class).
    """
    table = predictions.copy()
    columns = [f"p_{label}" for label in classes]
    table["p"] = table[columns].max(axis=1)
    table["kind"] = np.where(table["label"] == table["predicted"], "right", "wrong")
    random = np.random.default_rng(params.seed)
    chosen = []
    for label in classes:
        right = table[(table["label"] == label) & (table["kind"] == "right")]
        wrong = table[(table["label"] == label) & (table["kind"] == "wrong")]
        picks = np.sort(random.permutation(len(right))[: params.cases])
        chosen += [right.iloc[picks], wrong.sort_values(["p", "row"], ascending=[False, True]).head(params.cases)]
    return pd.concat(chosen, ignore_index=True)
