"""Probabilities of the test rows in full precision, as a file that charts are drawn from."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from brain_tumor.core.subsets import CLEAN, PUBLISHED
from brain_tumor.core.types import Floats, Ints, Masks


class TestProbabilities(NamedTuple):
    """Test rows (N,), their true classes (N,), and probabilities (N, K) before and after temperature scaling."""

    rows: Ints
    truth: Ints
    uncalibrated: Floats
    calibrated: Floats


def save_probabilities(path: Path, probabilities: TestProbabilities) -> None:
    """Write an .npz file, which is the same bytes for the same arrays."""
    with path.open("wb") as file:
        np.savez(file, **probabilities._asdict())


def load_probabilities(path: Path) -> TestProbabilities:
    """Read an .npz file that `save_probabilities` wrote."""
    with np.load(path) as arrays:
        return TestProbabilities(*(arrays[name] for name in TestProbabilities._fields))


def compared_subsets(clean: Masks) -> dict[str, Masks]:
    """Return the masks (N,) of the subsets that charts compare: all rows, and the clean ones if they are not all."""
    subsets = {PUBLISHED: np.ones(len(clean), bool)}
    if clean.any() and not clean.all():
        subsets[CLEAN] = clean
    return subsets
