"""Temperature scaling and the operating point, fitted on validation rows; thresholds of split-conformal sets."""

import logging
import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from brain_tumor.core.params import Block
from brain_tumor.core.types import Floats, Ints, Masks

Head = Literal["softmax", "sigmoid"]
log = logging.getLogger(__name__)
COVERAGES = (0.9, 0.95)
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.01, 100.0
BISECTION_STEPS = 100


class Calibration(Block):
    """Part of `model.json`.

    Attributes:
        temperature: logits are divided by it before they become probabilities (Guo et al. 2017); 1 without validation
            images.
        thresholds: minimum probability of a class in the prediction set, by target coverage; none without conformal
            images.
        operating_point: decision threshold on the probability of the first class (two classes with validation images
            only).
        validation_images: number of images that temperature and operating point were fitted on.
        conformal_images: number of images that the thresholds were fitted on, and nothing else.
    """

    temperature: float = 1.0
    thresholds: Mapping[str, float] = {}
    operating_point: float | None = None
    validation_images: int = 0
    conformal_images: int = 0


def to_probabilities(logits: Tensor, head: Head, temperature: float = 1.0) -> Tensor:
    """Convert (N, classes) logits, or (N, 1) of the sigmoid head, to (N, classes) probabilities."""
    scaled = logits / temperature
    return scaled.softmax(-1) if head == "softmax" else torch.cat([scaled.sigmoid(), (-scaled).sigmoid()], -1)


class LabeledLogits(NamedTuple):
    """Logits (N, classes), or (N, 1) of the sigmoid head, and class indices (N,), of rows without training rows."""

    logits: Tensor
    truth: Tensor


def calibrate(validation: LabeledLogits, conformal: LabeledLogits, head: Head) -> Calibration:
    """Fit temperature and operating point on validation rows, and the thresholds on conformal rows.

    Args:
        validation: may be without rows, and may have selected the epoch.
        conformal: may be without rows. The coverage of the prediction sets is guaranteed only if these rows chose
            neither the epoch nor the temperature.
    """
    temperature, point = 1.0, None
    if len(validation.truth):
        temperature = fit_temperature(*validation, head)
        probabilities = to_probabilities(validation.logits.double(), head, temperature).numpy()
        if probabilities.shape[1] == 2:
            point = round(youden_threshold(probabilities[:, 0], validation.truth.numpy() == 0), 9)
    thresholds = {}
    if len(conformal.truth):
        probabilities = to_probabilities(conformal.logits.double(), head, temperature).numpy()
        for coverage in COVERAGES:
            thresholds[f"{coverage:g}"] = round(
                conformal_threshold(probabilities, conformal.truth.numpy(), coverage), 9
            )
    return Calibration(
        temperature=temperature,
        thresholds=thresholds,
        operating_point=point,
        validation_images=len(validation.truth),
        conformal_images=len(conformal.truth),
    )


def fit_temperature(logits: Tensor, truth: Tensor, head: Head) -> float:
    """Find the temperature with the lowest log loss, 0.01 to 100, to six significant digits.

    The log loss is convex in 1/T: its slope changes sign once, which bisection finds. Without a validation error
    it has no minimum: the temperature is 1 then.
    """
    rows, values = torch.arange(len(truth)), logits.double()
    # Both heads as the scores of a softmax: a single logit is compared with zero.
    scores = values if head == "softmax" else torch.cat([values, torch.zeros_like(values)], -1)

    if bool((scores.argmax(-1) == truth).all()):
        log.info("no errors on %d validation images: temperature scaling skipped", len(truth))
        return 1.0

    def slope(inverse: float) -> float:
        expected = ((scores * inverse).softmax(-1) * scores).sum(-1)
        return float((expected - scores[rows, truth]).sum())

    low, high = MIN_TEMPERATURE, MAX_TEMPERATURE
    for _ in range(BISECTION_STEPS):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return float(f"{1 / low:.6g}")


def conformal_threshold(probabilities: Floats, truth: Ints, coverage: float) -> float:
    """Compute the minimum probability of a class in the prediction set (split conformal, Sadinle et al. 2019).

    Args:
        probabilities: (N, classes) of rows exchangeable with those to be predicted.
        truth: (N,) class indices.
        coverage: minimum fraction of prediction sets that contain the true class, 0 to 1.

    Returns:
        The threshold; 0, which admits every class, if N is too small for this coverage.
    """
    true_class = np.sort(probabilities[np.arange(len(truth)), truth])
    rank = math.floor((len(truth) + 1) * (1 - coverage) + 1e-9)
    return float(true_class[rank - 1]) if rank else 0.0


def youden_threshold(scores: Floats, positive: Masks) -> float:
    """Find the threshold with the largest sensitivity + specificity - 1 (Youden 1950).

    It lies halfway between two observed scores, so that it does not depend on the last bit of one.

    Args:
        scores: (N,) probabilities of the positive class.
        positive: (N,) whether the row belongs to that class.

    Returns:
        The threshold; of several best ones the nearest to 0.5; 0.5 if there is only one class.
    """
    if positive.all() or not positive.any():
        return 0.5
    values = np.unique(scores)
    thresholds = np.r_[0.0, (values[1:] + values[:-1]) / 2, 1.0]
    sums = np.array([(scores[positive] >= t).mean() + (scores[~positive] < t).mean() for t in thresholds])
    best = thresholds[np.isclose(sums, sums.max(), rtol=0, atol=1e-12)]
    return float(best[np.abs(best - 0.5).argmin()])
