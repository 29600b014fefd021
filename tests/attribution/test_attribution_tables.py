"""Tables of metrics of maps, and their summary."""

import numpy as np
import pandas as pd

from brain_tumor.attribution.cases import ExplainParams
from brain_tumor.attribution.tables import COLUMNS, summarize_table, tabulate_means

ROWS = pd.DataFrame({"label": list("aabb"), "group": list("wxyz")})
PARAMS = ExplainParams(methods=("grad-cam",), layer="last", num_cases=1, rounds=200, seed=0)


def test_tabulate_means_ignores_images_without_the_metric() -> None:
    values = {"metric": np.array([1.0, 3.0, np.nan, 5.0]), "undefined": np.full(4, np.nan)}
    table = tabulate_means("m", values, ROWS, PARAMS, by_class=True)
    assert table[["class", "metric", "n", "value"]].to_numpy().tolist() == [
        ["", "metric", 3, 3.0],
        ["a", "metric", 2, 2.0],
        ["b", "metric", 1, 5.0],
    ]
    assert table.columns.tolist() == COLUMNS


def test_tabulate_means_differences_have_a_baseline() -> None:
    values, differences = {"road": np.arange(4.0)}, {("road", "center"): np.full(4, 0.5)}
    table = tabulate_means("m", values, ROWS, PARAMS, differences=differences)
    assert table[["metric", "baseline", "value"]].to_numpy().tolist() == [["road", "", 1.5], ["road", "center", 0.5]]


def test_summarize_table_nests_baselines_and_regions() -> None:
    lines = [
        ("grad-cam", "", "", "", "", "", "road", 4, 0.3, 0.1, 0.5),
        ("grad-cam", "center", "", "", "", "", "road", 4, 0.2, 0.0, 0.4),
        ("grad-cam", "", "head", "", "", "", "randomization_correlation", 4, 0.9, 0.8, 1.0),
        ("grad-cam", "", "", "corners", "", "", "relevance", 4, 0.6, 0.5, 0.7),
        ("grad-cam", "", "", "", "below 1 %", "", "road", 1, 0.9, 0.8, 1.0),
        ("grad-cam", "", "", "", "", "glioma", "road", 2, 0.7, 0.6, 0.8),
        ("", "", "", "", "", "", "accuracy", 9, 0.8, 0.7, 0.9),
    ]
    summary = summarize_table(pd.DataFrame(lines, columns=COLUMNS), {"grad-cam": {"num_cases": 3}})
    assert summary == {
        "grad-cam": {
            "num_cases": 3,
            "road": 0.3,
            "n_low_high": {"road": [4, 0.1, 0.5]},
            "baselines": {"center": {"road": 0.2, "n_low_high": {"road": [4, 0.0, 0.4]}}},
            "regions": {"corners": {"relevance": 0.6, "n_low_high": {"relevance": [4, 0.5, 0.7]}}},
        },
        "model": {"accuracy": 0.8, "n_low_high": {"accuracy": [9, 0.7, 0.9]}},
    }
