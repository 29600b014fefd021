"""Tables of metrics of heat maps with confidence intervals: the rows of explain.csv."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from brain_tumor.attribution.cases import ExplainParams
from brain_tumor.core.types import Floats
from brain_tumor.metrics.bootstrap import BootstrapParams, ResamplingUnits, bootstrap_means

PROPORTIONS = ("accuracy", "pointing")  # metrics whose values are 0 or 1 for each image; their differences are not
NO_MAP = ""  # in the column `map`, for metrics of the model, not of a map
COLUMNS = ["map", "baseline", "stage", "region", "size", "class", "metric", "n", "value", "low", "high"]


def tabulate_means(
    map_name: str,
    metrics: Mapping[str, Floats],
    rows: pd.DataFrame,
    params: ExplainParams,
    by_class: bool = False,
    differences: Mapping[tuple[str, str], Floats] | None = None,
) -> pd.DataFrame:
    """Tabulate means over images with 95 % bootstrap intervals, over all images and optionally by class.

    Args:
        map_name: value of the column `map`.
        metrics: values (N,) of the images by metric; NaN where a metric is not defined.
        rows: label and group of each image.
        differences: likewise by metric and baseline: how much better the map is than the baseline.

    Returns:
        One row for each class ('' for all) and metric that is defined for an image, with the columns COLUMNS; `stage`,
        `region` and `size` are empty.
    """
    values = {(metric, ""): metric_values for metric, metric_values in metrics.items()} | dict(differences or {})
    bootstrap = BootstrapParams(rounds=params.rounds, seed=params.seed)
    lines = []
    for label in ("", *(sorted(set(rows["label"])) if by_class else ())):
        mask = (rows["label"] == label).to_numpy(bool) if label else np.ones(len(rows), bool)
        subset = rows[mask]
        if not len(subset) or not values:
            continue
        units = ResamplingUnits(np.zeros(len(subset), np.int64), subset["group"].tolist(), subset["label"].tolist())
        masked = {key: metric_values[mask] for key, metric_values in values.items()}
        by_number = {str(k): metric_values for k, metric_values in enumerate(masked.values())}
        proportions = [str(k) for k, (metric, baseline) in enumerate(masked) if metric in PROPORTIONS and not baseline]
        means = bootstrap_means(units, by_number, bootstrap, proportions)
        for ((metric, baseline), metric_values), mean in zip(masked.items(), means.values(), strict=True):
            count = int(np.isfinite(metric_values).sum())
            if count:
                lines.append((map_name, baseline, "", "", "", label, metric, count, *mean))
    return pd.DataFrame(lines, columns=COLUMNS)


def summarize_table(table: pd.DataFrame, counts: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, Any]]:
    """Summarize explain.csv as explain.json: values over all images and tumor sizes, of the last randomization stage.

    Args:
        counts: numbers of images by map and name, which come first.

    Returns:
        By map (`model` where no map is involved) its metrics, under `baselines` the differences by baseline, and under
        `regions` the metrics by region of the image.
        n, low and high stand in lists under `n_low_high`, which `dvc metrics diff` leaves out.
    """
    summary: dict[str, dict[str, Any]] = {map_name: dict(numbers) for map_name, numbers in counts.items()}
    overall = table[(table["class"] == "") & (table["stage"] == "") & (table["size"] == "")]
    columns = ["map", "baseline", "region", "metric", "n", "value", "low", "high"]
    for map_name, baseline, region, metric, n, value, low, high in overall[columns].itertuples(index=False):
        block = summary.setdefault(map_name or "model", {})
        if baseline:
            block = block.setdefault("baselines", {}).setdefault(baseline, {})
        if region:
            block = block.setdefault("regions", {}).setdefault(region, {})
        block[metric] = value
        block.setdefault("n_low_high", {})[metric] = [n, low, high]
    return summary
