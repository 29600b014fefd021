"""Temperature scaling, split-conformal thresholds and the operating point, all fitted on validation rows."""

import logging
import math
from collections.abc import Mapping
from typing import Literal

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
        temperature: logits are divided by it before they become probabilities (Guo et al. 2017).
        thresholds: minimum probability of a class in the prediction set, by target coverage.
        operating_point: decision threshold on the probability of the first class (binary tasks only).
    """

    temperature: float = 1.0
    thresholds: Mapping[str, float] = {}
    operating_point: float | None = None


def to_probabilities(logits: Tensor, head: Head, temperature: float = 1.0) -> Tensor:
    """Convert (N, classes) logits, or (N, 1) of the sigmoid head, to (N, classes) probabilities."""
    scaled = logits / temperature
    return scaled.softmax(-1) if head == "softmax" else torch.cat([scaled.sigmoid(), (-scaled).sigmoid()], -1)


def calibrate(logits: Tensor, truth: Tensor, head: Head) -> Calibration:
    """Fit temperature, thresholds and operating point.

    Args:
        logits: (N, classes) or (N, 1) of rows that the model was not trained on.
        truth: (N,) class indices.
    """
    temperature = fit_temperature(logits, truth, head)
    probabilities, labels = to_probabilities(logits.double(), head, temperature).numpy(), truth.numpy()
    thresholds = {
        f"{coverage:g}": round(conformal_threshold(probabilities, labels, coverage), 9) for coverage in COVERAGES
    }
    point = round(youden_threshold(probabilities[:, 0], labels == 0), 9) if probabilities.shape[1] == 2 else None
    return Calibration(temperature=temperature, thresholds=thresholds, operating_point=point)


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
