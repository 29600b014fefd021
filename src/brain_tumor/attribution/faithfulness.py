"""Faithfulness of heat maps, measured by removing pixels and running the model again.

Images are (N, H, W) uint8, maps (N, H, W), targets class numbers (N,). `predict_proba` returns the probabilities
(N, K) of images. Each metric is one value per image.
"""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from captum.metrics import infidelity
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags_array
from scipy.sparse.linalg import cg
from torch import Tensor

from brain_tumor.attribution.methods import BATCH_SIZE, ClassScores
from brain_tumor.core.types import Floats, Gray, Ints, Maps, Masks
from brain_tumor.models.classifier import Classifier, to_unit

PredictFn = Callable[[Gray], Floats]

CURVE_STEPS = 16  # of deletion and insertion
ROAD_FRACTIONS = (0.1, 0.3, 0.5, 0.7, 0.9)  # fractions of the pixels that ROAD removes
ROAD_NOISE_SD = 0.01  # on values 0 to 1
INFIDELITY_SQUARES = 16  # squares per image
# Weights of the eight neighbors of a pixel, of ROAD.
NEIGHBOR_WEIGHTS = {
    (y, x): (1 / 6 if 0 in (y, x) else 1 / 12) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)
}


def rank_pixels(maps: Maps, seed: int) -> NDArray[np.int32]:
    """Rank the pixels of each map by relevance; ties are broken at random.

    Maps without negative values are mostly zeros: a percentile as threshold would remove nearly all pixels together.

    Returns:
        (N, H, W) ranks from 0, the most relevant pixel, to H·W - 1.
    """
    random = np.random.default_rng(seed)
    ranks = np.empty(maps.shape, np.int32)
    for rank, values in zip(ranks, maps, strict=True):
        order = np.lexsort((random.permutation(values.size), -values.ravel()))
        rank.ravel()[order] = np.arange(values.size, dtype=np.int32)
    return ranks


def deletion_curves(predict_proba: PredictFn, images: Gray, maps: Maps, targets: Ints, seed: int) -> Floats:
    """Delete pixels, the most relevant first (Petsiuk et al. 2018).

    Returns:
        (N, CURVE_STEPS + 1) probability of the class as 0 to 100 % of the pixels turn black.
    """
    return _perturbation_curves(predict_proba, images, np.zeros_like(images), rank_pixels(maps, seed), targets)


def insertion_curves(predict_proba: PredictFn, images: Gray, maps: Maps, targets: Ints, seed: int) -> Floats:
    """Restore the pixels of a blurred image, the most relevant first (Petsiuk et al. 2018).

    Returns:
        (N, CURVE_STEPS + 1) probability of the class as 0 to 100 % of the pixels are restored.
    """
    return _perturbation_curves(predict_proba, blur_images(images), images, rank_pixels(maps, seed), targets)


def area_under_curves(curves: Floats) -> Floats:
    """Integrate (N, CURVE_STEPS + 1) curves over 0 to 1: (N,) areas."""
    return np.asarray(np.trapezoid(curves, dx=1 / CURVE_STEPS, axis=1))


def blur_images(images: Gray) -> Gray:
    """Blur images so that only their coarsest shape remains: the start of insertion."""
    return np.stack([np.asarray(cv2.GaussianBlur(image, (0, 0), image.shape[0] / 16), np.uint8) for image in images])


def _perturbation_curves(
    predict_proba: PredictFn, start: Gray, end: Gray, ranks: NDArray[np.int32], targets: Ints
) -> Floats:
    num_pixels, curves = start[0].size if len(start) else 0, []
    for step in range(CURVE_STEPS + 1):
        mixed = np.where(ranks < round(step / CURVE_STEPS * num_pixels), end, start)
        curves.append(predict_proba(mixed)[np.arange(len(targets)), targets])
    return np.stack(curves, 1)


def road(predict_proba: PredictFn, images: Gray, maps: Maps, targets: Ints, seed: int) -> Floats:
    """Remove and debias (ROAD, Rong et al. 2022).

    Removed pixels are imputed from their neighbors, so that they neither leave visible holes nor make images unlike
    any training image.

    Returns:
        (N,) probability of the class without the least relevant pixels minus that without the most relevant ones,
        mean over ROAD_FRACTIONS; about 0 for an uninformative map.
    """
    ranks, random = rank_pixels(maps, seed), np.random.default_rng(seed)
    num_pixels, each, total = images[0].size if len(images) else 0, np.arange(len(images)), np.zeros(len(images))
    for fraction in ROAD_FRACTIONS:
        count = round(fraction * num_pixels)
        without_least, without_most = (
            np.stack([impute(image, mask, random) for image, mask in zip(images, removed_masks, strict=True)])
            for removed_masks in (ranks >= num_pixels - count, ranks < count)
        )
        total += predict_proba(without_least)[each, targets] - predict_proba(without_most)[each, targets]
    return total / len(ROAD_FRACTIONS)


def impute(image: Gray, removed_mask: Masks, random: np.random.Generator) -> Gray:
    """Replace removed pixels by the weighted mean of their neighbors, removed ones included, plus a little noise.

    Args:
        image: (H, W).
        removed_mask: (H, W).
    """
    height, width = image.shape
    count, (rows, columns) = int(removed_mask.sum()), np.nonzero(removed_mask)
    index = np.full(removed_mask.shape, -1)
    index[removed_mask] = np.arange(count)
    weight_sum, right_side = np.zeros(count), np.zeros(count)
    entries: list[tuple[Ints, Ints, Floats]] = []
    for (down, across), weight in NEIGHBOR_WEIGHTS.items():
        y, x = rows + down, columns + across
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        y, x = y.clip(0, height - 1), x.clip(0, width - 1)
        weight_sum += weight * inside
        right_side += np.where(inside & ~removed_mask[y, x], weight * image[y, x], 0.0)
        linked = inside & removed_mask[y, x]
        entries.append((np.flatnonzero(linked), index[y[linked], x[linked]], np.full(linked.sum(), -weight)))
    first, second, weights = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    system = csr_matrix((weights, (first, second)), (count, count)) + diags_array(weight_sum)
    # Start from the mean of the remaining pixels; an accuracy of half a gray level is enough.
    mean = float(image[~removed_mask].mean()) if (~removed_mask).any() else 0.0
    values, _ = cg(system, right_side, np.full(count, mean), rtol=1e-4, maxiter=2000, M=diags_array(1 / weight_sum))
    result = image.astype(np.float64)
    result[removed_mask] = values + random.normal(0, 255 * ROAD_NOISE_SD, count)
    return np.rint(result).clip(0, 255).astype(np.uint8)


def normalized_infidelity(
    model: Classifier, images: Gray, maps: Maps, targets: Ints, device: torch.device, seed: int
) -> Floats:
    """Infidelity (Yeh et al. 2019) of a map, scaled to fit best, as a fraction of the infidelity of a map of zeros.

    Squares of a quarter of the side turn black, INFIDELITY_SQUARES times per image.

    Returns:
        (N,) values from 0 (the map predicts each change of the score exactly) to 1 (no better than a map of zeros).
        NaN for an empty map, and where no square changes the score.
    """
    random = np.random.default_rng(seed)

    def blacken(x: Tensor) -> tuple[Tensor, Tensor]:
        side = x.shape[-1] // 4
        squares = torch.zeros_like(x)
        for square, top, left in zip(squares, *random.integers(0, x.shape[-1] - side + 1, (2, len(x))), strict=True):
            square[:, top : top + side, left : left + side] = 1
        # The sum of the relevance in a square is the predicted change of the score.
        return squares, x * (1 - squares)

    results = []
    for start in range(0, len(images), BATCH_SIZE):
        batch = slice(start, start + BATCH_SIZE)
        x, target = to_unit(torch.from_numpy(images[batch]), device), torch.from_numpy(targets[batch]).to(device)
        heat = torch.from_numpy(maps[batch])[:, None].to(device)
        state, errors = random.bit_generator.state, []
        for attributions in (heat, torch.zeros_like(heat)):
            random.bit_generator.state = state  # the same squares for both
            errors.append(
                infidelity(
                    *(ClassScores(model), blacken, x, attributions / attributions.abs().amax().clamp_min(1e-12)),
                    target=target,
                    n_perturb_samples=INFIDELITY_SQUARES,
                    max_examples_per_batch=len(x) * min(4, INFIDELITY_SQUARES),
                    normalize=True,
                )
            )
        ratio = (errors[0] / errors[1].clamp_min(1e-12)).clamp(0, 1)
        is_defined = (errors[1] > 1e-12) & heat.flatten(1).any(1)
        results.append(ratio.where(is_defined, torch.nan).double().cpu().numpy())
    return np.concatenate(results) if results else np.zeros(0)
