"""The file of probabilities, and the subsets that charts compare."""

from pathlib import Path

import numpy as np

from brain_tumor.evaluation.probabilities import compared_subsets, load_probabilities, save_probabilities
from predictions import make_predictions


def test_save_probabilities_same_bytes_and_full_precision(tmp_path: Path) -> None:
    probabilities = make_predictions().probabilities()
    for name in ("first.partial", "second.partial"):  # as atomic_outputs names them
        save_probabilities(tmp_path / name, probabilities)
    assert (tmp_path / "first.partial").read_bytes() == (tmp_path / "second.partial").read_bytes()
    loaded = load_probabilities(tmp_path / "first.partial")
    for name, array in probabilities._asdict().items():
        np.testing.assert_array_equal(getattr(loaded, name), array)
        assert getattr(loaded, name).dtype == (np.int64 if name in ("rows", "truth") else np.float64)


def test_compared_subsets_clean_subset_only_if_it_differs() -> None:
    assert set(compared_subsets(np.array([True, False]))) == {"published", "clean"}
    for clean in (True, False):
        assert set(compared_subsets(np.array([clean, clean]))) == {"published"}
