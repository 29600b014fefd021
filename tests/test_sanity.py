"""Likeness of maps, models that forget from the head downwards, and maps that follow the image."""

import numpy as np
import pytest
import torch
from nets import card
from scipy.stats import spearmanr

from brain_tumor.classifier import Classifier
from brain_tumor.metadata import Column
from brain_tumor.sanity import STAGES, parts, randomized, rank_correlation, stability, structure


def maps(seed: int, count: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 16, 16)).astype(np.float32)


def test_rank_correlation_is_that_of_scipy() -> None:
    one, other = maps(0), np.round(maps(1), 1)
    expected = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(one, other, strict=True)]
    assert rank_correlation(one, other) == pytest.approx(expected, abs=1e-12)
    assert rank_correlation(one, one**3) == pytest.approx([1, 1, 1])
    assert rank_correlation(one, -one) == pytest.approx([-1, -1, -1])
    assert np.isnan(rank_correlation(one, np.ones_like(one))).all(), "an empty map is like nothing and unlike nothing"


def test_structure_of_equal_scaled_and_empty_maps() -> None:
    one = maps(0)
    assert structure(one, one) == pytest.approx([1, 1, 1])
    assert (structure(one, (one / 10).astype(np.float32)) < 0.5).all(), "maps are not normalized"
    assert np.isnan(structure(one * 0, one * 0)).all()


@pytest.mark.parametrize("architecture", ["resnet10t", "tf_efficientnet_lite0", "vit_tiny_patch16_224"])
def test_a_model_forgets_from_the_head_downwards_until_nothing_is_left(architecture: str) -> None:
    torch.manual_seed(1)
    model = Classifier(card(architecture)).eval()
    with torch.no_grad():  # as if trained: nothing, buffers included, is what a new model has
        for values in model.state_dict().values():
            if values.is_floating_point():
                values += 0.25
    before = {name: values.clone() for name, values in model.state_dict().items()}
    stages = list(randomized(model, card(architecture), 0))
    assert len(stages) == STAGES
    shares = []
    for _, copy in stages:
        own = copy.state_dict()
        shares.append(np.mean([not torch.equal(own[name], before[name]) for name in before]))
        assert not copy.training
    assert shares == sorted(set(shares)), "each stage replaces more"
    changed = {name for name, values in before.items() if not torch.equal(stages[0][1].state_dict()[name], values)}
    head = [name for name in before if name.startswith(("backbone.classifier", "backbone.fc", "backbone.head."))]
    assert changed == set(head)
    last = stages[-1][1].state_dict()
    kept = [name for name, values in before.items() if values.is_floating_point() and torch.equal(last[name], values)]
    assert kept == []
    for name, values in model.state_dict().items():
        assert torch.equal(values, before[name]), "the model itself is left as it was"
    again = dict(randomized(model, card(architecture), 0))
    for name, values in again[stages[-1][0]].state_dict().items():
        assert torch.equal(values, last[name])


def test_parts_are_blocks_in_their_order() -> None:
    names = ["backbone.conv.weight", "backbone.blocks.0.0.weight", "backbone.blocks.1.0.weight", "backbone.fc.bias"]
    assert list(parts(names)) == ["backbone.conv", "backbone.blocks.0", "backbone.blocks.1", "backbone.fc"]


def test_what_is_known_beside_the_image_is_forgotten_with_the_head() -> None:
    columns = (Column(name="age", mean=50.0, sd=10.0),)
    about = card("resnet10t").model_copy(update={"metadata": columns})
    model = Classifier(about).eval()
    with torch.no_grad():
        for values in model.parameters():
            values.add_(0.25)
    before = {name: values.clone() for name, values in model.state_dict().items()}
    first = next(randomized(model, about, 0))[1].state_dict()
    changed = {name for name in before if not torch.equal(first[name], before[name])}
    assert {name.split(".")[0] for name in changed} == {"backbone", "metadata"}
    assert {name.split(".")[1] for name in changed if name.startswith("backbone")} == {"fc"}


def test_maps_that_follow_the_image_are_stable_and_a_fixed_map_is_not() -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (3, 32, 32)).astype(np.uint8)
    follows = stability(lambda altered: altered.astype(np.float32), images, images.astype(np.float32), 0)
    assert follows["mirrored"] == pytest.approx([1, 1, 1])
    assert follows["shifted"] == pytest.approx([1, 1, 1])
    assert (follows["noisy"] > 0.98).all()
    fixed = np.repeat(random.random((1, 32, 32)).astype(np.float32), 3, 0)
    found = stability(lambda _: fixed, images, fixed, 0)
    assert (np.abs(found["mirrored"]) < 0.2).all()
    assert (np.abs(found["shifted"]) < 0.2).all()
    assert found["noisy"] == pytest.approx([1, 1, 1])
