"""Whether maps depend on what the model has learned, and whether they hold still: likeness of maps of one image.

Maps are (N, H, W), 0 or more; every figure is one number an image.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from skimage.metrics import structural_similarity

from brain_tumor.classifier import Classifier, ModelCard

Gray = NDArray[np.uint8]
Maps = NDArray[np.float32]
Values = NDArray[np.float64]
BESIDE = "metadata"
STAGES = 6  # steps from the head to the input in which a model is randomized
SHIFT = 4  # pixels
NOISE = 0.02  # standard deviation on values 0 to 1


def rank_correlation(one: Maps, other: Maps) -> Values:
    """Spearman's correlation of the pixels of two maps; NaN where one of them is the same everywhere."""
    return np.array([_correlation(*pair) for pair in zip(one, other, strict=True)])


def _correlation(one: Maps, other: Maps) -> float:
    ranks = [rankdata(values.ravel()) for values in (one, other)]
    centered = [values - values.mean() for values in ranks]
    size = float(np.sqrt((centered[0] ** 2).sum() * (centered[1] ** 2).sum()))
    return float((centered[0] * centered[1]).sum() / size) if size > 0 else float("nan")


def structure(one: Maps, other: Maps) -> Values:
    """SSIM (Wang et al. 2004) of two maps as they are, not normalized; NaN where both are empty."""
    found = []
    for a, b in zip(one, other, strict=True):
        top = float(max(a.max(), b.max()))
        found.append(float(structural_similarity(a / top, b / top, data_range=1.0)) if top > 0 else float("nan"))
    return np.array(found)


def randomized(model: Classifier, card: ModelCard, seed: int) -> Iterator[tuple[str, Classifier]]:
    """Yield copies of a model with ever more of it replaced by what an untrained one has, from the head downwards.

    Everything is replaced: weights, norm layers, class tokens and position embeddings, too (Adebayo et al. 2018).
    The name of a copy is the lowest part that is replaced.
    """
    device = next(model.parameters()).device
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        fresh = Classifier(card).state_dict()
    state = dict(model.state_dict())
    names = parts(list(state))
    ordered = list(reversed([name for name in names if name != BESIDE]))
    names[ordered[0]] += names.get(BESIDE, [])  # what is known beside the image enters at the head
    # The head alone first, then the others in steps of about the same number.
    ends = np.unique(np.linspace(1, len(ordered), min(STAGES, len(ordered))).round().astype(int))
    for start, end in zip([0, *ends], ends, strict=False):
        for part in ordered[start:end]:
            state |= {name: fresh[name] for name in names[part]}
        copy = Classifier(card)
        copy.load_state_dict(state)
        yield ordered[end - 1].removeprefix("backbone."), copy.to(device).to(memory_format=torch.channels_last).eval()


def parts(names: list[str]) -> dict[str, list[str]]:
    """Names of weights by the part of the network that they belong to, from the input to the head.

    A part is a block of a numbered sequence (`backbone.blocks.3`), or else a child of the backbone.
    """
    found: dict[str, list[str]] = {}
    for name in names:
        words = name.split(".")
        depth = 1 if words[0] == BESIDE else 3 if len(words) > 3 and words[2].isdigit() else 2
        found.setdefault(".".join(words[:depth]), []).append(name)
    return found


def stability(explain: Callable[[Gray], Maps], images: Gray, maps: Maps, seed: int) -> dict[str, Values]:
    """Rank correlation of maps with those of the images mirrored, shifted and slightly noisy, turned back.

    Args:
        explain: maps of images (N, H, W) uint8.
        maps: those of the unaltered images.
    """
    noise = np.random.default_rng(seed).normal(0, 255 * NOISE, images.shape)
    noisy = np.rint(images + noise).clip(0, 255).astype(np.uint8)
    shifted = np.zeros_like(images)
    shifted[:, SHIFT:, SHIFT:] = images[:, :-SHIFT, :-SHIFT]
    return {
        "mirrored": rank_correlation(maps, explain(np.ascontiguousarray(images[:, :, ::-1]))[:, :, ::-1]),
        "shifted": rank_correlation(maps[:, :-SHIFT, :-SHIFT], explain(shifted)[:, SHIFT:, SHIFT:]),
        "noisy": rank_correlation(maps, explain(noisy)),
    }
