"""Stability of maps that follow the image, and of maps that do not."""

import numpy as np
import pytest
import torch

from brain_tumor.attribution.stability import SENSITIVITY_RADIUS, max_sensitivity, stability_metrics
from brain_tumor.core.types import Floats, Gray, Maps
from brain_tumor.models.classifier import Classifier
from explained import compute_maps, make_two_maps
from nets import CPU

TARGETS = np.zeros(2, np.int64)


def test_stability_metrics_maps_that_follow_the_image_are_stable() -> None:
    images = np.random.default_rng(0).integers(0, 255, (3, 32, 32)).astype(np.uint8)
    metrics = stability_metrics(lambda altered: altered.astype(np.float32), images, images.astype(np.float32), 0)
    assert metrics["mirrored"] == pytest.approx([1, 1, 1])
    assert metrics["shifted"] == pytest.approx([1, 1, 1])
    assert (metrics["noisy"] > 0.98).all()


def test_stability_metrics_constant_map_is_not_equivariant() -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (3, 32, 32)).astype(np.uint8)
    constant = np.repeat(random.random((1, 32, 32)).astype(np.float32), 3, 0)
    metrics = stability_metrics(lambda _: constant, images, constant, 0)
    assert (np.abs(metrics["mirrored"]) < 0.2).all()
    assert (np.abs(metrics["shifted"]) < 0.2).all()
    assert metrics["noisy"] == pytest.approx([1, 1, 1])


def measure_sensitivity(model: Classifier, images: Gray, maps: Maps) -> Floats:
    return max_sensitivity("grad-cam", model, images, maps, TARGETS[: len(images)], "last", CPU, 0)


def test_max_sensitivity_map_equal_to_image_moves_by_noise() -> None:
    """Grad-CAM of class 0 is the image times a constant."""
    images = np.full((2, 8, 8), 128, np.uint8)
    maps = np.ones((2, 8, 8), np.float32)
    first, second = (measure_sensitivity(make_two_maps(), images, maps) for _ in range(2))
    assert ((first > 0) & (first <= SENSITIVITY_RADIUS / (128 / 255) * 1.0001)).all()
    np.testing.assert_array_equal(first, second)


def test_max_sensitivity_empty_map_is_nan() -> None:
    images, model = np.full((2, 8, 8), 128, np.uint8), make_two_maps()
    model.backbone.head.weight.data[:] = 0
    maps = compute_maps("grad-cam", model, torch.from_numpy(images), TARGETS)
    assert not maps.any()
    assert np.isnan(measure_sensitivity(model, images, maps)).all()


def test_max_sensitivity_without_images_is_empty() -> None:
    images = np.zeros((0, 8, 8), np.uint8)
    assert measure_sensitivity(make_two_maps(), images, images.astype(np.float32)).shape == (0,)
