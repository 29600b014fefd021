"""Maps that know nothing of the model: baselines of the metrics, and controls that must fail the checks.

Images are (N, H, W) uint8, maps (N, H, W) float32, 0 or more.
"""

import cv2
import numpy as np

from brain_tumor.attribution.constants import BLURRED_NOISE, CENTER, EDGES, INTENSITY, MEAN_MASK, RANDOM_ORDER
from brain_tumor.core.types import Gray, Maps


def model_free_maps(images: Gray, seed: int, mean_mask: Maps | None = None) -> dict[str, Maps]:
    """Make maps that do not depend on the model, by name.

    Args:
        mean_mask: (H, W), how often each pixel is tumor in training images; None where there are no masks.
    """
    random = np.random.default_rng(seed)
    center = np.broadcast_to(center_map(*images.shape[1:]), images.shape)
    maps = {
        RANDOM_ORDER: random.random(images.shape, np.float32),
        BLURRED_NOISE: blurred_noise_maps(images, random),
        CENTER: np.ascontiguousarray(center),
        EDGES: np.stack([_edge_map(image) for image in images]) if len(images) else images.astype(np.float32),
        INTENSITY: images.astype(np.float32),
    }
    if mean_mask is not None:
        maps[MEAN_MASK] = np.ascontiguousarray(np.broadcast_to(mean_mask.astype(np.float32), images.shape))
    return maps


def shift_maps(maps: Maps, seed: int) -> Maps:
    """Shift each map by a random distance around the image: the same values and smoothness at another place.

    Each distance is at least a quarter of the side, so that no map stays where it was.
    """
    random, shifted = np.random.default_rng(seed), np.empty_like(maps)
    for target, values in zip(shifted, maps, strict=True):
        distances = [int(random.integers(side // 4, side - side // 4 + 1)) for side in values.shape]
        target[:] = np.roll(values, distances, (0, 1))
    return shifted


def center_map(height: int, width: int) -> Maps:
    """(H, W) Gaussian in the middle, with a standard deviation of a sixth of the side."""
    y, x = np.mgrid[:height, :width]
    distance = ((y - (height - 1) / 2) / height) ** 2 + ((x - (width - 1) / 2) / width) ** 2
    return np.asarray(np.exp(-distance / (2 * (1 / 6) ** 2)), np.float32)


def blurred_noise_maps(images: Gray, random: np.random.Generator) -> Maps:
    """(N, H, W) random maps, as smooth as a heat map."""
    return np.stack([_blur_noise(random.random(image.shape, dtype=np.float32)) for image in images])


def _edge_map(image: Gray) -> Maps:
    values = image.astype(np.float32)
    across, down = (cv2.Sobel(values, cv2.CV_32F, *order, ksize=3) for order in ((1, 0), (0, 1)))
    return np.hypot(across, down).astype(np.float32)


def _blur_noise(noise: Maps) -> Maps:
    smooth = np.asarray(cv2.GaussianBlur(noise, (0, 0), max(noise.shape) / 16), np.float32)
    return np.asarray(smooth - smooth.min(), np.float32)
