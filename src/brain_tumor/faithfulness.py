"""Whether the pixels that a map calls relevant are those that the model uses: it is asked again without them.

Images are (N, H, W) uint8, maps (N, H, W), targets class numbers (N,). `ask` gives probabilities (N, K) of images.
Every figure is one number an image.
"""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from captum.metrics import infidelity, sensitivity_max
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags_array
from scipy.sparse.linalg import cg
from torch import Tensor

from brain_tumor.attribution import BATCH, Method, Scores, attribute
from brain_tumor.classifier import Classifier, to_unit
from brain_tumor.layers import Layer

Gray = NDArray[np.uint8]
Maps = NDArray[np.float32]
Values = NDArray[np.float64]
Numbers = NDArray[np.int64]
Ask = Callable[[Gray], Values]

STEPS = 16  # of deletion and insertion
REMOVED = (0.1, 0.3, 0.5, 0.7, 0.9)  # shares of the pixels, of ROAD
NOISE = 0.01  # of ROAD, on values 0 to 1
SQUARES = 16  # squares an image, for infidelity
DRAWS, RADIUS = 4, 0.02  # of max-sensitivity, on values 0 to 1
# Weights of the neighbors of a pixel, of ROAD.
NEIGHBORS = {(y, x): (1 / 6 if 0 in (y, x) else 1 / 12) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)}


def ranks(maps: Maps, seed: int) -> NDArray[np.int32]:
    """(N, H, W) place of each pixel, the most relevant first; the seed draws the order of equal ones.

    Maps without negative values are mostly zeros: a percentile as threshold would remove nearly all at once.
    """
    random = np.random.default_rng(seed)
    places = np.empty(maps.shape, np.int32)
    for place, values in zip(places, maps, strict=True):
        order = np.lexsort((random.permutation(values.size), -values.ravel()))
        place.ravel()[order] = np.arange(values.size, dtype=np.int32)
    return places


def deletion(ask: Ask, images: Gray, maps: Maps, targets: Numbers, seed: int) -> Values:
    """(N, STEPS + 1) probability of the class as pixels turn black, the most relevant first (Petsiuk et al. 2018)."""
    return _along(ask, images, np.zeros_like(images), ranks(maps, seed), targets)


def insertion(ask: Ask, images: Gray, maps: Maps, targets: Numbers, seed: int) -> Values:
    """(N, STEPS + 1) probability of the class as pixels come back to a blurred image, the most relevant first."""
    return _along(ask, blurred(images), images, ranks(maps, seed), targets)


def area(curves: Values) -> Values:
    """(N, STEPS + 1) → (N,) area under each curve over 0 to 1."""
    return np.asarray(np.trapezoid(curves, dx=1 / STEPS, axis=1))


def blurred(images: Gray) -> Gray:
    """Images of which only the coarsest shape is left: what insertion begins with."""
    return np.stack([np.asarray(cv2.GaussianBlur(image, (0, 0), image.shape[0] / 16), np.uint8) for image in images])


def _along(ask: Ask, start: Gray, end: Gray, places: NDArray[np.int32], targets: Numbers) -> Values:
    pixels, found = start[0].size if len(start) else 0, []
    for step in range(STEPS + 1):
        mixed = np.where(places < round(step / STEPS * pixels), end, start)
        found.append(ask(mixed)[np.arange(len(targets)), targets])
    return np.stack(found, 1)


def road(ask: Ask, images: Gray, maps: Maps, targets: Numbers, seed: int) -> Values:
    """Remove and debias (Rong et al. 2022): probability without the least relevant pixels minus without the most.

    The mean over REMOVED. Removed pixels are imputed from those around, so that the model sees neither holes nor
    what it has never seen; 0 is what a map without knowledge gets.
    """
    places, random = ranks(maps, seed), np.random.default_rng(seed)
    pixels, own, found = images[0].size if len(images) else 0, np.arange(len(images)), np.zeros(len(images))
    for share in REMOVED:
        count = round(share * pixels)
        least, most = (
            np.stack([impute(image, gone, random) for image, gone in zip(images, removed, strict=True)])
            for removed in (places >= pixels - count, places < count)
        )
        found += ask(least)[own, targets] - ask(most)[own, targets]
    return found / len(REMOVED)


def impute(image: Gray, gone: NDArray[np.bool_], random: np.random.Generator) -> Gray:
    """Give removed pixels the weighted mean of their neighbors, removed ones included, and a little noise."""
    height, width = image.shape
    count, (rows, columns) = int(gone.sum()), np.nonzero(gone)
    number = np.full(gone.shape, -1)
    number[gone] = np.arange(count)
    total, known = np.zeros(count), np.zeros(count)
    entries: list[tuple[Numbers, Numbers, Values]] = []
    for (down, across), weight in NEIGHBORS.items():
        y, x = rows + down, columns + across
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        y, x = y.clip(0, height - 1), x.clip(0, width - 1)
        total += weight * inside
        known += np.where(inside & ~gone[y, x], weight * image[y, x], 0.0)
        linked = inside & gone[y, x]
        entries.append((np.flatnonzero(linked), number[y[linked], x[linked]], np.full(linked.sum(), -weight)))
    first, second, weights = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    system = csr_matrix((weights, (first, second)), (count, count)) + diags_array(total)
    # The mean of what is left is where the search begins; half a gray level is all that is asked for.
    mean = float(image[~gone].mean()) if (~gone).any() else 0.0
    values, _ = cg(system, known, np.full(count, mean), rtol=1e-4, maxiter=2000, M=diags_array(1 / total))
    result = image.astype(np.float64)
    result[gone] = values + random.normal(0, 255 * NOISE, count)
    return np.rint(result).clip(0, 255).astype(np.uint8)


def unexplained(
    model: Classifier, images: Gray, maps: Maps, targets: Numbers, device: torch.device, seed: int
) -> Values:
    """Infidelity (Yeh et al. 2019) of a map scaled to fit: which share of what squares change it does not explain.

    Squares of a quarter of the side turn black, SQUARES times. 0: the map says how far the score falls each time;
    1: no more than a map of zeros. NaN for an empty map, and where no square changes the score.
    """
    random = np.random.default_rng(seed)

    def blacken(x: Tensor) -> tuple[Tensor, Tensor]:
        side = x.shape[-1] // 4
        holes = torch.zeros_like(x)
        for hole, top, left in zip(holes, *random.integers(0, x.shape[-1] - side + 1, (2, len(x))), strict=True):
            hole[:, top : top + side, left : left + side] = 1
        # The relevance in a square is what it claims that the square is worth.
        return holes, x * (1 - holes)

    found = []
    for start in range(0, len(images), BATCH):
        part = slice(start, start + BATCH)
        x, wanted = to_unit(torch.from_numpy(images[part]), device), torch.from_numpy(targets[part]).to(device)
        heat = torch.from_numpy(maps[part])[:, None].to(device)
        state, errors = random.bit_generator.state, []
        for attributions in (heat, torch.zeros_like(heat)):
            random.bit_generator.state = state  # the same squares for both
            errors.append(
                infidelity(
                    *(Scores(model), blacken, x, attributions / attributions.abs().amax().clamp_min(1e-12)),
                    target=wanted,
                    n_perturb_samples=SQUARES,
                    max_examples_per_batch=len(x) * min(4, SQUARES),
                    normalize=True,
                )
            )
        share = (errors[0] / errors[1].clamp_min(1e-12)).clamp(0, 1)
        known = (errors[1] > 1e-12) & heat.flatten(1).any(1)  # of a flat score or an empty map there is nothing to say
        found.append(share.where(known, torch.nan).double().cpu().numpy())
    return np.concatenate(found) if found else np.zeros(0)


def sensitivity(
    method: Method, model: Classifier, images: Gray, targets: Numbers, layer: Layer, device: torch.device, seed: int
) -> Values:
    """Max-sensitivity (Yeh et al. 2019): how far a map moves under noise too small to see, as a share of its norm.

    NaN for an empty map: captum would divide by 1.
    """
    found = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for start in range(0, len(images), BATCH):
            part = slice(start, start + BATCH)
            x, wanted = to_unit(torch.from_numpy(images[part]), device), torch.from_numpy(targets[part]).to(device)
            known = attribute(method, model, x, wanted, layer)[0].flatten(1).any(1)
            values = sensitivity_max(
                lambda x, target: (attribute(method, model, x[0], target, layer)[0],),
                x,
                perturb_radius=RADIUS,
                n_perturb_samples=DRAWS,
                max_examples_per_batch=len(images[part]),
                target=wanted,
            )
            found.append(values.where(known, torch.nan).double().cpu().numpy())
    return np.concatenate(found) if found else np.zeros(0)
