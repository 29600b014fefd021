"""Cascading randomization of a model's weights, and the similarity of two maps of one image.

Maps are (N, H, W), 0 or more. Each metric is one value per image.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from scipy.stats import rankdata
from skimage.metrics import structural_similarity

from brain_tumor.core.types import Floats, Maps
from brain_tumor.models.classifier import Classifier, ModelConfig

METADATA_PART = "metadata"  # prefix of the weights that encode clinical features
NUM_STAGES = 5  # maximum number of stages of cascading randomization
NUM_DRAWS = 3  # random initializations


def rank_correlation(first: Maps, second: Maps) -> Floats:
    """Spearman's correlation of the pixels of two maps; NaN where one of them is constant."""
    return np.array([_rank_correlation(*pair) for pair in zip(first, second, strict=True)])


def _rank_correlation(first: Maps, second: Maps) -> float:
    ranks = [rankdata(values.ravel()) for values in (first, second)]
    centered = [values - values.mean() for values in ranks]
    norm = float(np.sqrt((centered[0] ** 2).sum() * (centered[1] ** 2).sum()))
    return float((centered[0] * centered[1]).sum() / norm) if norm > 0 else float("nan")


def ssim(first: Maps, second: Maps) -> Floats:
    """SSIM (Wang et al. 2004) of two maps on their common scale, without normalization; NaN where both are empty."""
    results = []
    for a, b in zip(first, second, strict=True):
        maximum = float(max(a.max(), b.max()))
        value = structural_similarity(a / maximum, b / maximum, data_range=1.0) if maximum > 0 else np.nan
        results.append(float(value))
    return np.array(results)


def cascading_randomization(model: Classifier, config: ModelConfig, seed: int) -> Iterator[tuple[str, Classifier]]:
    """Yield copies of a model whose weights are replaced by those of an untrained model, from the head downwards.

    All weights and buffers of a part are replaced: norm layers, class tokens and position embeddings as well
    (Adebayo et al. 2018).

    Yields:
        At most NUM_STAGES times the name of the lowest part that is replaced, and the copy. In the last one all parts
        are replaced.
    """
    untrained = untrained_model(model, config, seed).state_dict()
    state = dict(model.state_dict())
    parts = group_weights_by_part(list(state))
    ordered = list(reversed([part for part in parts if part != METADATA_PART]))
    parts[ordered[0]] += parts.get(METADATA_PART, [])  # clinical features enter at the head
    # First only the head, then the other parts in stages of about the same number.
    ends = np.unique(np.linspace(1, len(ordered), min(NUM_STAGES, len(ordered))).round().astype(int))
    for start, end in zip([0, *ends], ends, strict=False):
        for part in ordered[start:end]:
            state |= {name: untrained[name] for name in parts[part]}
        randomized = copy.deepcopy(model)
        randomized.load_state_dict(state)
        yield ordered[end - 1].removeprefix("backbone."), randomized


@contextmanager
def flush_denormals() -> Iterator[None]:
    """Take numbers below 1e-38 for 0: networks with random weights have many, and they take several times as long."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def untrained_model(model: Classifier, config: ModelConfig, seed: int) -> Classifier:
    """Return a new model of the same configuration and on the same device, with random weights."""
    device = next(model.parameters()).device
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Classifier(config).to(device).to(memory_format=torch.channels_last).eval()


def group_weights_by_part(names: list[str]) -> dict[str, list[str]]:
    """Group names of weights by the part of the network that they belong to, from the input to the head.

    A part is a block of a numbered sequence (`backbone.blocks.3`), or else a child of the backbone.
    """
    parts: dict[str, list[str]] = {}
    for name in names:
        path = name.split(".")
        depth = 1 if path[0] == METADATA_PART else 3 if len(path) > 3 and path[2].isdigit() else 2
        parts.setdefault(".".join(path[:depth]), []).append(name)
    return parts
