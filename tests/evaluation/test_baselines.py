"""Baselines without deep learning."""

import numpy as np
import pytest

from brain_tumor.evaluation import baselines
from brain_tumor.imaging.encode import encode_image
from heads import head


def test_predict_baselines_use_own_features_and_training_labels() -> None:
    random = np.random.default_rng(0)
    targets = np.arange(60) % 3
    images = np.stack([(head(n % 7, 48) * (0.4 + 0.3 * targets[n])).astype(np.uint8) for n in range(60)])
    file_features = np.stack([random.normal(size=60), targets * 10.0], 1)
    parts = [np.arange(0, 36), np.arange(36, 45), np.arange(45, 60)]
    predictions = baselines.predict_baselines(
        baselines.extract_features(images, file_features), targets, parts, 3, seed=0
    )
    accuracy = {name: (p.argmax(1) == targets[45:]).mean() for name, p in predictions.items()}
    assert accuracy["majority"] == pytest.approx(1 / 3)
    assert accuracy["file metadata"] > 0.9
    assert accuracy["intensity statistics"] == 1.0
    assert accuracy["nearest thumbnail"] == 1.0
    for probabilities in predictions.values():
        np.testing.assert_allclose(probabilities.sum(1), 1)
    other_targets = targets.copy()
    other_targets[45:] = 0
    same = baselines.predict_baselines(
        baselines.extract_features(images, file_features), other_targets, parts, 3, seed=0
    )
    for name, probabilities in predictions.items():
        np.testing.assert_array_equal(probabilities, same[name])


def test_predict_baselines_class_not_in_training_is_zero() -> None:
    targets = np.r_[np.arange(20) % 2, 2, 2]
    images, file_features = np.stack([head(n, 40) for n in range(22)]), np.arange(22.0)[:, None]
    parts = [np.arange(12), np.arange(12, 16), np.arange(16, 22)]
    predictions = baselines.predict_baselines(
        baselines.extract_features(images, file_features), targets, parts, 3, seed=0
    )
    assert all((probabilities[:, 2] == 0).all() for probabilities in predictions.values())


def test_file_metadata_features_of_an_image() -> None:
    content = encode_image(head(1))
    height, width = head(1).shape
    assert baselines.file_metadata_features(content) == [len(content), width, height, width / height, 2]


def test_file_metadata_features_unreadable_file_gives_its_size_alone() -> None:
    assert baselines.file_metadata_features(b"DICM") == [4, 0, 0, 0, 0]
