"""Stability of maps that follow the image, and of maps that do not."""

from collections.abc import Callable

import numpy as np
import pytest

from brain_tumor.attribution.randomization import rank_correlation
from brain_tumor.attribution.stability import compare_perturbed, perturb_images
from brain_tumor.core.types import Floats, Gray, Maps

IMAGES = np.random.default_rng(0).integers(0, 255, (3, 32, 32)).astype(np.uint8)


def measure(explain: Callable[[Gray], Maps]) -> dict[str, Floats]:
    perturbed = {name: explain(images) for name, images in perturb_images(IMAGES, 0).items()}
    return compare_perturbed(explain(IMAGES), perturbed, rank_correlation)


def test_compare_perturbed_maps_that_follow_the_image_are_stable() -> None:
    metrics = measure(lambda images: images.astype(np.float32))
    assert metrics["mirrored"] == pytest.approx([1, 1, 1])
    assert metrics["shifted"] == pytest.approx([1, 1, 1])
    assert (metrics["noisy"] > 0.98).all()


def test_compare_perturbed_constant_map_is_not_equivariant() -> None:
    constant = np.repeat(np.random.default_rng(0).random((1, 32, 32)).astype(np.float32), 3, 0)
    metrics = measure(lambda _: constant)
    assert (np.abs(metrics["mirrored"]) < 0.2).all()
    assert (np.abs(metrics["shifted"]) < 0.2).all()
    assert metrics["noisy"] == pytest.approx([1, 1, 1])


def test_perturb_images_is_seeded() -> None:
    for name, images in perturb_images(IMAGES, 0).items():
        np.testing.assert_array_equal(images, perturb_images(IMAGES, 0)[name])
    assert (perturb_images(IMAGES, 0)["noisy"] != perturb_images(IMAGES, 1)["noisy"]).any()
