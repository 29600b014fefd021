"""Looking up metrics of an evaluation."""

from pathlib import Path

import pandas as pd

from brain_tumor.metrics.bootstrap import COLUMNS
from brain_tumor.reporting.results import Results
from example_results import make_results


def test_results_reads_a_table_and_leaves_out_undefined_metrics(tmp_path: Path) -> None:
    row = dict.fromkeys(COLUMNS, "") | {"model": "model", "subset": "published", "metric": "accuracy", "n": 26}
    row |= {"value": 1.0, "low": 0.871, "high": 1.0}
    undefined = row | {"metric": "auroc", "value": float("nan")}
    pd.DataFrame([row, undefined]).to_csv(tmp_path / "metrics.csv", index=False)
    results = Results.read(tmp_path / "metrics.csv")
    assert str(results.get("accuracy")) == "1.000 (0.871–1.000)"
    assert results.get("auroc") is None


def test_results_class_counts_and_leading_subset() -> None:
    assert make_results((0, 0, 0), 20).class_counts() == {"<b>": 20}
    assert make_results((0, 0, 0), 20).class_counts("clean") == {}
    assert make_results((0, 0, 0), 20).leading_subset() == "clean"
    assert make_results((20, 0, 0), 0).leading_subset() == "published"


def test_results_differences_baselines_and_subgroups_are_kept_apart() -> None:
    results = make_results((4, 3, 2), 11)
    difference = results.get("accuracy", "clean", reference="forest")
    assert difference is not None
    assert difference.value == 0.15
    assert results.baselines() == ["forest", "svm"]
    assert results.subgroups() == [("plane", "axial")]
    assert results.n(attribute="plane", value="axial") == 7
    assert results.count_leaks() == {
        "duplicate": 4, "transformed_duplicate": 3, "same_group": 2, "unknown_patient": 0,
    }  # fmt: skip
