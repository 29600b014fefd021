"""Random predictions for test rows of three classes, most of them right."""

from typing import Any

import numpy as np
import pandas as pd

from brain_tumor.evaluation.evaluate import EvaluateParams
from brain_tumor.evaluation.predictions import TestPredictions

PARAMS = EvaluateParams(rounds=100, seed=0)
CLASSES = ("a", "b", "c")


def make_predictions(n: int = 60, clean: int = 40, **columns: Any) -> TestPredictions:
    """Predict n rows, the first `clean` ones without leakage and the others with duplicates in training.

    Args:
        columns: further columns of the table of rows.
    """
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, n)
    scores = random.random((n, 3)) + np.eye(3)[truth] / 2
    probabilities = scores / scores.sum(1, keepdims=True)
    leak = [""] * clean + ["duplicate"] * (n - clean)
    rows = pd.DataFrame({"row": range(n), "path": [f"{k}.png" for k in range(n)], "leak": leak, **columns})
    rows["group"] = [f"g{k}" for k in range(n)]
    rows["label"] = [CLASSES[k] for k in truth]
    return TestPredictions(rows, truth, probabilities**2 / (probabilities**2).sum(1, keepdims=True), probabilities)
