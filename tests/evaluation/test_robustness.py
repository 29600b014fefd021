"""Perturbations of test images."""

import numpy as np
import pytest

from brain_tumor.evaluation.evaluate import EvaluateParams
from brain_tumor.evaluation.robustness import DEFAULT_PERTURBATIONS, Perturbation, perturb
from heads import head


@pytest.mark.parametrize("perturbation", DEFAULT_PERTURBATIONS, ids=str)
def test_perturb_changes_pixels_and_keeps_the_shape(perturbation: Perturbation) -> None:
    images = np.stack([head(n) for n in range(3)])
    perturbed = perturb(images, perturbation, 0)
    assert perturbed.shape == images.shape
    assert perturbed.dtype == np.uint8
    assert (perturbed != images).any()
    np.testing.assert_array_equal(perturbed, perturb(images, perturbation, 0))
    # Strong enough to matter, but still the same picture.
    if perturbation.kind not in ("left-right", "up-down", "rotation", "crop"):
        assert np.corrcoef(perturbed.ravel(), images.ravel())[0, 1] > 0.85


def test_perturb_neutral_strength_changes_nothing() -> None:
    images = np.stack([head(n) for n in range(2)])
    for kind, strength in (("rotation", 0), ("gamma", 1), ("noise", 0), ("resolution", 1), ("crop", 0)):
        neutral = Perturbation.model_validate({"kind": kind, "strength": float(strength)})
        np.testing.assert_array_equal(perturb(images, neutral, 0), images)


@pytest.mark.parametrize(("kind", "strength"), [("blur", 0.0), ("crop", 0.5), ("gamma", -1.0), ("left-right", 1.0)])
def test_perturbation_strength_out_of_range_is_an_error(kind: str, strength: float) -> None:
    with pytest.raises(ValueError, match=f"the strength of {kind} must be from"):
        Perturbation.model_validate({"kind": kind, "strength": strength})


def test_evaluate_params_repeated_perturbation_is_an_error() -> None:
    with pytest.raises(ValueError, match="names a perturbation twice"):
        EvaluateParams(rounds=100, seed=0, robustness=(DEFAULT_PERTURBATIONS[0], DEFAULT_PERTURBATIONS[0]))
