"""Stability of heat maps under small perturbations of the image. Each metric is one value per image."""

from collections.abc import Callable, Mapping

import numpy as np

from brain_tumor.core.types import Floats, Gray, Maps

SHIFT_PIXELS = 4  # downwards and to the right
NOISE_SD = 0.02  # on values 0 to 1


def perturb_images(images: Gray, seed: int) -> dict[str, Gray]:
    """Mirror, shift and slightly blemish images (N, H, W) with noise: `mirrored`, `shifted` and `noisy`."""
    noise = np.random.default_rng(seed).normal(0, 255 * NOISE_SD, images.shape)
    shifted = np.zeros_like(images)
    shifted[:, SHIFT_PIXELS:, SHIFT_PIXELS:] = images[:, :-SHIFT_PIXELS, :-SHIFT_PIXELS]
    return {
        "mirrored": np.ascontiguousarray(images[:, :, ::-1]),
        "shifted": shifted,
        "noisy": np.rint(images + noise).clip(0, 255).astype(np.uint8),
    }


def compare_perturbed(
    maps: Maps, perturbed: Mapping[str, Maps], similarity: Callable[[Maps, Maps], Floats]
) -> dict[str, Floats]:
    """Compare maps (N, H, W) with those of `perturb_images`, after undoing the transform.

    Args:
        similarity: of two maps (N, H, W): (N,).

    Returns:
        (N,) similarities by the names of `perturb_images`.
    """
    cut = SHIFT_PIXELS
    return {
        "mirrored": similarity(maps, perturbed["mirrored"][:, :, ::-1]),
        "shifted": similarity(maps[:, :-cut, :-cut], perturbed["shifted"][:, cut:, cut:]),
        "noisy": similarity(maps, perturbed["noisy"]),
    }
