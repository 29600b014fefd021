"""Mixup and CutMix."""

import numpy as np
import pytest
import torch
from torch import Generator

from brain_tumor.training.mixup import Mixup, SampledMix, mix_images, mix_targets

SHAPE = torch.Size([6, 1, 8, 12])


def sample(mix: Mixup, seed: int = 1, shape: torch.Size = SHAPE) -> SampledMix:
    result = mix.sample(shape, Generator().manual_seed(seed))
    assert result is not None
    return result


def test_sample_disabled_or_single_image_draws_nothing() -> None:
    generator = Generator().manual_seed(0)
    state = generator.get_state()
    assert Mixup().sample(SHAPE, generator) is None
    assert Mixup(mixup=1.0).sample(torch.Size([1, 1, 8, 8]), generator) is None
    assert torch.equal(generator.get_state(), state)


def test_sample_same_generator_state_gives_same_mix() -> None:
    mix = Mixup(mixup=0.4, cutmix=1.0)
    for seed in range(5):
        first, second = sample(mix, seed), sample(mix, seed)
        assert torch.equal(first.partners, second.partners)
        assert first[1:] == second[1:]
    assert len({sample(mix, seed).weight for seed in range(5)}) == 5
    assert {sample(mix, seed).box is None for seed in range(20)} == {True, False}


def test_sample_partners_are_other_images_of_the_batch() -> None:
    partners = sample(Mixup(mixup=1.0)).partners
    assert sorted(partners.tolist()) == list(range(6))
    assert not (partners == torch.arange(6)).any()


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_sample_mixup_weights_have_the_beta_distribution(alpha: float) -> None:
    weights = np.array([sample(Mixup(mixup=alpha), seed).weight for seed in range(2000)])
    assert weights.mean() == pytest.approx(0.5, abs=0.03)
    assert weights.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), abs=0.01)


def test_mix_images_mixup_weights_images_and_targets_equally() -> None:
    x, targets = torch.rand(SHAPE), torch.arange(6) % 3
    mix = sample(Mixup(mixup=1.0))
    assert mix.box is None
    mixed = mix_images(x, x[mix.partners], mix)
    torch.testing.assert_close(mixed, mix.weight * x + (1 - mix.weight) * x[mix.partners])
    fractions = mix_targets(targets, targets[mix.partners], mix, 3)
    assert fractions.shape == (6, 3)
    torch.testing.assert_close(fractions.sum(1), torch.ones(6))
    torch.testing.assert_close(fractions[0, targets[0]].item(), mix.weight)


@pytest.mark.parametrize("seed", range(10))
def test_mix_images_cutmix_takes_a_box_whose_area_is_the_weight(seed: int) -> None:
    x, targets = torch.arange(6.0).view(6, 1, 1, 1).expand(SHAPE), torch.arange(6)
    mix = sample(Mixup(cutmix=1.0), seed)
    mixed = mix_images(x, x[mix.partners], mix)
    partner_area = (mixed == mix.partners.view(6, 1, 1, 1)).flatten(1).float().mean(1)
    own_area = (mixed == x).flatten(1).float().mean(1)
    torch.testing.assert_close(partner_area + own_area, torch.ones(6))
    torch.testing.assert_close(own_area, torch.full((6,), mix.weight))
    fractions = mix_targets(targets, targets[mix.partners], mix, 6)
    torch.testing.assert_close(fractions.diagonal(), own_area)
