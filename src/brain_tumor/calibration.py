"""What the validation rows say of a model's probabilities: temperature, prediction sets, operating point."""

import logging
import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from brain_tumor.params import Block

Head = Literal["softmax", "sigmoid"]
log = logging.getLogger(__name__)
COVERAGES = (0.9, 0.95)


class Calibration(Block):
    """Part of `model.json`.

    Attributes:
        temperature: logits are divided by it before they become probabilities (Guo et al. 2017).
        least: by wanted coverage, the least probability with which a class belongs to the prediction set.
        operating_point: of two classes, the least probability of the first at which it is predicted.
    """

    temperature: float = 1.0
    least: Mapping[str, float] = {}
    operating_point: float | None = None


def to_probabilities(logits: Tensor, head: Head, temperature: float = 1.0) -> Tensor:
    """(N, classes) logits, or (N, 1) of the sigmoid head → (N, classes) probabilities."""
    scaled = logits / temperature
    return scaled.softmax(-1) if head == "softmax" else torch.cat([scaled.sigmoid(), (-scaled).sigmoid()], -1)


def calibrate(logits: Tensor, truth: Tensor, head: Head) -> Calibration:
    """Fit everything on validation rows, which the model has not trained on: logits (N, …) and class numbers (N,)."""
    temperature = fit_temperature(logits, truth, head)
    probabilities = to_probabilities(logits.double(), head, temperature).numpy()
    known = truth.numpy()
    least = {f"{coverage:g}": round(least_probability(probabilities, known, coverage), 9) for coverage in COVERAGES}
    point = round(youden(probabilities[:, 0], known == 0), 9) if probabilities.shape[1] == 2 else None
    return Calibration(temperature=temperature, least=least, operating_point=point)


def fit_temperature(logits: Tensor, truth: Tensor, head: Head) -> float:
    """The temperature of the lowest log loss, 0.01 to 100, six significant digits.

    The log loss is convex in 1/T: its slope changes sign once, and halving the interval finds where. It has no
    lowest value where every row is right: the temperature is 1 then.
    """
    rows, values = torch.arange(len(truth)), logits.double()
    # Both heads as scores whose softmax is meant: of one logit, itself against zero.
    scores = values if head == "softmax" else torch.cat([values, torch.zeros_like(values)], -1)

    if bool((scores.argmax(-1) == truth).all()):
        log.info("all %d validation images are right: probabilities cannot be calibrated on them", len(truth))
        return 1.0

    def slope(inverse: float) -> float:
        expected = ((scores * inverse).softmax(-1) * scores).sum(-1)
        return float((expected - scores[rows, truth]).sum())

    low, high = 0.01, 100.0
    for _ in range(100):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return float(f"{1 / low:.6g}")


def least_probability(probabilities: NDArray[np.float64], truth: NDArray[np.int64], coverage: float) -> float:
    """The least probability a class needs for its place in the prediction set (split conformal, Sadinle et al. 2019).

    With (N, classes) probabilities of rows like those to come, sets hold the true class in at least `coverage` of
    cases; 0, which is every class, where N is too small to promise that.
    """
    of_true = np.sort(probabilities[np.arange(len(truth)), truth])
    rank = math.floor((len(truth) + 1) * (1 - coverage) + 1e-9)
    return float(of_true[rank - 1]) if rank else 0.0


def youden(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """The threshold of the largest sensitivity + specificity - 1; of equals the nearest to 0.5; 0.5 with one class.

    It lies halfway between two scores that occur, so that it does not hang on the last bit of one.
    """
    if positive.all() or not positive.any():
        return 0.5
    values = np.unique(scores)
    cuts = np.r_[0.0, (values[1:] + values[:-1]) / 2, 1.0]
    hits = np.array([(scores[positive] >= cut).mean() + (scores[~positive] < cut).mean() for cut in cuts])
    best = cuts[np.isclose(hits, hits.max(), rtol=0, atol=1e-12)]
    return float(best[np.abs(best - 0.5).argmin()])
