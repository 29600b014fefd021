"""Similarity of maps, and cascading randomization of weights."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from brain_tumor.attribution.randomization import (
    NUM_STAGES,
    cascading_randomization,
    group_weights_by_part,
    rank_correlation,
    ssim,
)
from brain_tumor.models.classifier import Classifier
from brain_tumor.models.clinical_features import Column
from nets import make_config


def make_maps(seed: int, count: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 16, 16)).astype(np.float32)


def test_rank_correlation_equals_scipy() -> None:
    first, second = make_maps(0), np.round(make_maps(1), 1)
    expected = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(first, second, strict=True)]
    assert rank_correlation(first, second) == pytest.approx(expected, abs=1e-12)
    assert rank_correlation(first, first**3) == pytest.approx([1, 1, 1])
    assert rank_correlation(first, -first) == pytest.approx([-1, -1, -1])
    assert np.isnan(rank_correlation(first, np.ones_like(first))).all(), "not defined for a constant map"


def test_ssim_of_equal_scaled_and_empty_maps() -> None:
    maps = make_maps(0)
    assert ssim(maps, maps) == pytest.approx([1, 1, 1])
    assert (ssim(maps, (maps / 10).astype(np.float32)) < 0.5).all(), "maps are not normalized"
    assert np.isnan(ssim(maps * 0, maps * 0)).all()


@pytest.mark.parametrize("architecture", ["resnet10t", "tf_efficientnet_lite0", "vit_tiny_patch16_224"])
def test_cascading_randomization_replaces_all_weights_from_head(architecture: str) -> None:
    torch.manual_seed(1)
    model = Classifier(make_config(architecture)).eval()
    with torch.no_grad():  # as if trained: all weights and buffers differ from those of a new model
        for values in model.state_dict().values():
            if values.is_floating_point():
                values += 0.25
    before = {name: values.clone() for name, values in model.state_dict().items()}
    stages = list(cascading_randomization(model, make_config(architecture), 0))
    assert len(stages) == NUM_STAGES
    fractions = []
    for _, copy in stages:
        state = copy.state_dict()
        fractions.append(np.mean([not torch.equal(state[name], before[name]) for name in before]))
        assert not copy.training
    assert fractions == sorted(set(fractions)), "each stage replaces more weights"
    changed = {name for name, values in before.items() if not torch.equal(stages[0][1].state_dict()[name], values)}
    head = [name for name in before if name.startswith(("backbone.classifier", "backbone.fc", "backbone.head."))]
    assert changed == set(head)
    last = stages[-1][1].state_dict()
    unchanged = [name for name, value in before.items() if value.is_floating_point() and torch.equal(last[name], value)]
    assert unchanged == []
    for name, values in model.state_dict().items():
        assert torch.equal(values, before[name]), "the model itself is unchanged"
    again = dict(cascading_randomization(model, make_config(architecture), 0))
    for name, values in again[stages[-1][0]].state_dict().items():
        assert torch.equal(values, last[name])


def test_group_weights_by_part_keeps_blocks_in_order() -> None:
    names = ["backbone.conv.weight", "backbone.blocks.0.0.weight", "backbone.blocks.1.0.weight", "backbone.fc.bias"]
    assert list(group_weights_by_part(names)) == [
        "backbone.conv",
        "backbone.blocks.0",
        "backbone.blocks.1",
        "backbone.fc",
    ]


def test_cascading_randomization_includes_clinical_features() -> None:
    columns = (Column(name="age", mean=50.0, sd=10.0),)
    config = make_config("resnet10t").model_copy(update={"metadata": columns})
    model = Classifier(config).eval()
    with torch.no_grad():
        for values in model.parameters():
            values.add_(0.25)
    before = {name: values.clone() for name, values in model.state_dict().items()}
    first = next(cascading_randomization(model, config, 0))[1].state_dict()
    changed = {name for name in before if not torch.equal(first[name], before[name])}
    assert {name.split(".")[0] for name in changed} == {"backbone", "metadata"}
    assert {name.split(".")[1] for name in changed if name.startswith("backbone")} == {"fc"}
