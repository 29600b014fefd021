"""Looking up metrics of an evaluation."""

from pathlib import Path

import pandas as pd

from brain_tumor.metrics.bootstrap import COLUMNS
from brain_tumor.reporting.results import Results
from example_results import make_results


def test_results_degenerate_interval_is_replaced_by_wilsons(tmp_path: Path) -> None:
    row = dict.fromkeys(COLUMNS, "") | {"model": "model", "subset": "published", "metric": "accuracy", "n": 26}
    row |= {"value": 1.0, "low": 1.0, "high": 1.0, "wilson_low": 0.871, "wilson_high": 1.0}
    pd.DataFrame([row]).to_csv(tmp_path / "metrics.csv", index=False)
    assert str(Results.read(tmp_path / "metrics.csv").get("accuracy")) == "1.000 (0.871–1.000)"


def test_results_differences_baselines_and_subgroups_are_kept_apart() -> None:
    results = make_results((4, 3, 2), 11)
    difference = results.get("accuracy", "clean", reference="forest")
    assert difference is not None
    assert difference.value == 0.15
    assert results.baselines() == ["forest", "svm"]
    assert results.subgroups() == [("plane", "axial")]
    assert results.n(attribute="plane", value="axial") == 7
    assert results.count_leaks() == {"duplicate": 4, "transformed_duplicate": 3, "same_group": 2}
