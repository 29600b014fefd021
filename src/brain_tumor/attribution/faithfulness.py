"""Faithfulness of heat maps, measured by removing the cells of a grid and running the model again.

All maps are compared on the same grid, so that none is better or worse for being smooth, and removed cells are imputed
or blurred, since black pixels collapse any prediction wherever they are.

Images are (N, H, W) uint8, maps (N, H, W), targets class numbers (N,). `predict_proba` returns the probabilities
(N, K) of images.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from brain_tumor.core.types import Floats, Gray, Ints, Maps, Masks

PredictFn = Callable[[Gray], Floats]

GRID = 16  # cells along each side
CELL_COUNTS = (4, 16, 64)  # cells that are removed or restored: 1.6, 6 and 25 % of the image; a tumor is a few percent
IMPUTATION_NOISE_SD = 0.01  # on values 0 to 1, as in ROAD


def pool_cells(maps: Maps, grid: int = GRID) -> Maps:
    """Average maps (N, H, W) over the cells of a grid: (N, grid, grid)."""
    pooled: Floats = np.asarray(maps, np.float64)
    for axis in (1, 2):
        side = maps.shape[axis]
        starts = np.flatnonzero(np.diff(_cell_numbers(side, grid), prepend=-1))
        pooled = np.add.reduceat(pooled, starts, axis) if len(maps) else pooled[:, :grid, :grid]
        counts = np.diff([*starts, side])
        pooled /= counts[:, None] if axis == 1 else counts
    return pooled.astype(np.float32)


def rank_cells(maps: Maps, seed: int) -> NDArray[np.int32]:
    """Rank the cells of each map by their mean relevance; ties are broken at random.

    Maps without negative values are mostly zeros: without ranks, a threshold would remove nearly all of them together.

    Returns:
        (N, H, W) rank of each pixel's cell from 0, the most relevant one.
    """
    random, pooled = np.random.default_rng(seed), pool_cells(maps)
    ranks = np.empty(pooled.shape, np.int32)
    for rank, values in zip(ranks, pooled, strict=True):
        order = np.lexsort((random.permutation(values.size), -values.ravel()))
        rank.ravel()[order] = np.arange(values.size, dtype=np.int32)
    rows, columns = (_cell_numbers(side, GRID) for side in maps.shape[1:])
    pixels: NDArray[np.int32] = ranks[:, rows[:, None], columns]
    return pixels


def _cell_numbers(side: int, grid: int) -> Ints:
    return np.arange(side) * min(grid, side) // side


def deletion_curves(predict_proba: PredictFn, images: Gray, maps: Maps, targets: Ints, seed: int) -> Floats:
    """Remove cells, the most relevant first: deletion (Petsiuk et al. 2018) with imputation (ROAD, Rong et al. 2022).

    Returns:
        (N, len(CELL_COUNTS)) probability of the class without this number of cells.
    """
    ranks, random, curves = rank_cells(maps, seed), np.random.default_rng(seed), []
    for count in CELL_COUNTS:
        imputed = [impute(image, rank < count, random) for image, rank in zip(images, ranks, strict=True)]
        curves.append(_class_probabilities(predict_proba, imputed, images, targets))
    return np.stack(curves, 1)


def insertion_curves(predict_proba: PredictFn, images: Gray, maps: Maps, targets: Ints, seed: int) -> Floats:
    """Restore cells of a blurred image, the most relevant first (insertion, Petsiuk et al. 2018).

    Returns:
        (N, len(CELL_COUNTS)) probability of the class with this number of cells.
    """
    ranks, blurred, curves = rank_cells(maps, seed), blur_images(images), []
    for count in CELL_COUNTS:
        restored = list(np.where(ranks < count, images, blurred))
        curves.append(_class_probabilities(predict_proba, restored, images, targets))
    return np.stack(curves, 1)


def blur_images(images: Gray) -> Gray:
    """Blur images so that only their coarsest shape remains: the start of insertion."""
    blurred = [np.asarray(cv2.GaussianBlur(image, (0, 0), image.shape[0] / GRID), np.uint8) for image in images]
    return np.stack(blurred) if blurred else images


def impute(image: Gray, removed_mask: Masks, random: np.random.Generator) -> Gray:
    """Fill removed pixels smoothly from their surroundings, coarse to fine, and add a little noise.

    The pull-push interpolation of Gortler et al. (1996), which is close to the linear system of ROAD and does not
    depend on the size of the holes in time.

    Args:
        image: (H, W).
        removed_mask: (H, W).
    """
    filled = _pull_push(image.astype(np.float32), (~removed_mask).astype(np.float32))
    noise = random.normal(0, 255 * IMPUTATION_NOISE_SD, int(removed_mask.sum()))
    result = image.copy()
    result[removed_mask] = np.rint(filled[removed_mask] + noise).clip(0, 255)
    return result


def _pull_push(values: Maps, weights: Maps) -> Maps:
    """Fill the pixels (H, W) of weight 0 by the next coarser level; 0 where all weights are 0."""
    height, width = values.shape
    if weights.all() or max(height, width) == 1:
        return values * weights
    size = ((width + 1) // 2, (height + 1) // 2)
    coarse_weights = cv2.resize(weights, size, interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(values * weights, size, interpolation=cv2.INTER_AREA)
    known = coarse_weights > 0
    coarse = np.divide(coarse, coarse_weights, out=np.zeros_like(coarse), where=known)
    filled = _pull_push(np.asarray(coarse, np.float32), known.astype(np.float32))
    upsampled = cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.where(weights > 0, values, upsampled), np.float32)


def _class_probabilities(predict_proba: PredictFn, altered: list[Gray], images: Gray, targets: Ints) -> Floats:
    probabilities = predict_proba(np.stack(altered) if altered else images)
    return probabilities[np.arange(len(targets)), targets]
