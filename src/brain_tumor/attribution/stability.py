"""Stability of heat maps under small perturbations of the image. Each metric is one value per image."""

from collections.abc import Callable

import numpy as np
import torch
from captum.metrics import sensitivity_max

from brain_tumor.attribution.layers import Layer
from brain_tumor.attribution.methods import BATCH_SIZE, Method, attribute
from brain_tumor.attribution.randomization import rank_correlation
from brain_tumor.core.types import Floats, Gray, Ints, Maps
from brain_tumor.models.classifier import Classifier, to_unit

SHIFT_PIXELS = 4  # downwards and to the right
NOISE_SD = 0.02  # on values 0 to 1
SENSITIVITY_SAMPLES = 4  # perturbed images per image, of max-sensitivity
SENSITIVITY_RADIUS = 0.02  # on values 0 to 1, of max-sensitivity


def stability_metrics(explain: Callable[[Gray], Maps], images: Gray, maps: Maps, seed: int) -> dict[str, Floats]:
    """Rank correlation of maps with those of mirrored, shifted and noisy images, after undoing the transform.

    Args:
        explain: computes the maps (N, H, W) of images (N, H, W).
        images: (N, H, W).
        maps: (N, H, W), those of the unperturbed images.

    Returns:
        (N,) correlations under the names `mirrored`, `shifted` and `noisy`.
    """
    noise = np.random.default_rng(seed).normal(0, 255 * NOISE_SD, images.shape)
    noisy = np.rint(images + noise).clip(0, 255).astype(np.uint8)
    shifted = np.zeros_like(images)
    shifted[:, SHIFT_PIXELS:, SHIFT_PIXELS:] = images[:, :-SHIFT_PIXELS, :-SHIFT_PIXELS]
    return {
        "mirrored": rank_correlation(maps, explain(np.ascontiguousarray(images[:, :, ::-1]))[:, :, ::-1]),
        "shifted": rank_correlation(
            maps[:, :-SHIFT_PIXELS, :-SHIFT_PIXELS], explain(shifted)[:, SHIFT_PIXELS:, SHIFT_PIXELS:]
        ),
        "noisy": rank_correlation(maps, explain(noisy)),
    }


def max_sensitivity(
    method: Method,
    model: Classifier,
    images: Gray,
    maps: Maps,
    targets: Ints,
    layer: Layer,
    device: torch.device,
    seed: int,
) -> Floats:
    """Max-sensitivity (Yeh et al. 2019): the largest change of a map under imperceptible noise.

    Args:
        images: (N, H, W).
        maps: (N, H, W), those of the unperturbed images.
        targets: (N,) class numbers.
        layer: layer of CAM methods.

    Returns:
        (N,) L2 norms of the change, as fractions of the map's norm; NaN for an empty map.
    """
    results = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for start in range(0, len(images), BATCH_SIZE):
            batch = slice(start, start + BATCH_SIZE)
            x, target = to_unit(torch.from_numpy(images[batch]), device), torch.from_numpy(targets[batch]).to(device)
            values = sensitivity_max(
                lambda x, target: (attribute(method, model, x[0], target, layer)[0],),
                x,
                perturb_radius=SENSITIVITY_RADIUS,
                n_perturb_samples=SENSITIVITY_SAMPLES,
                max_examples_per_batch=len(images[batch]),
                target=target,
            )
            is_defined = maps[batch].any((1, 2))  # captum divides the change of an empty map by 1
            results.append(np.where(is_defined, values.double().cpu().numpy(), np.nan))
    return np.concatenate(results) if results else np.zeros(0)
