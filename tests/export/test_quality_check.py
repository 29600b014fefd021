"""Comparison of an exported file with its model."""

import numpy as np
import pandas as pd
import pytest

from brain_tumor.export.quality_check import compare_exported
from brain_tumor.metrics.bootstrap import BootstrapParams

ROWS = pd.DataFrame({"label": list("abcabcabc"), "group": [str(k) for k in range(9)]})
PARAMS = BootstrapParams(rounds=100, seed=0)
PROBABILITIES = np.eye(3)[[0, 1, 2] * 3] * 0.8 + 0.1


def test_compare_exported_equal_probabilities_pass() -> None:
    result = compare_exported(PROBABILITIES, PROBABILITIES, ROWS, ("a", "b", "c"), PARAMS)
    assert (result["agreement"], result["macro_f1_change"], result["passes_quality_check"]) == (1, 0, True)


def test_compare_exported_swapped_classes_fail() -> None:
    result = compare_exported(PROBABILITIES, PROBABILITIES[:, [1, 0, 2]], ROWS, ("a", "b", "c"), PARAMS)
    assert result["agreement"] == pytest.approx(1 / 3)
    assert result["macro_f1_change"] == pytest.approx(-2 / 3)
    assert not result["passes_quality_check"]
