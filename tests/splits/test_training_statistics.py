"""Statistics of the training rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain_tumor.splits.split import training_statistics


@given(st.integers(1, 40), st.integers(0, 99))
def test_training_statistics_random_images_equal_numpy(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count + 2, 5, 4)).astype(np.uint8)
    labels = ["a", "b", *random.choice(["a", "b"], count)]
    statistics = training_statistics(images, labels, ("a", "b"))
    assert statistics["images"] == count + 2
    assert statistics["mean"] == pytest.approx((images / 255).mean())
    assert statistics["std"] == pytest.approx((images / 255).std())
    class_weights = statistics["class_weights"]
    assert np.mean([class_weights[label] for label in labels]) == pytest.approx(1)
    assert class_weights["a"] * labels.count("a") == pytest.approx(class_weights["b"] * labels.count("b"))
