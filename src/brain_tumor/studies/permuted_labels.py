"""Data randomization test of heat maps: the same network after training on permuted labels (Adebayo et al. 2018)."""

from typing import Any

import numpy as np
import pandas as pd

from brain_tumor.attribution.constants import MAX_RANDOMIZATION_CORRELATION
from brain_tumor.attribution.explained_model import ExplainedModel
from brain_tumor.attribution.methods import Method
from brain_tumor.attribution.randomization import rank_correlation, ssim
from brain_tumor.attribution.tables import tabulate_means
from brain_tumor.core.tables import class_indices
from brain_tumor.core.types import Gray, Ints
from brain_tumor.metrics.classification import wilson_interval


def permute_labels(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the rows with their labels in random order."""
    return rows.assign(label=np.random.default_rng(seed).permutation(rows["label"].to_numpy(object)))


def measure_memorization(explained_model: ExplainedModel, images: Gray, rows: pd.DataFrame) -> dict[str, float | bool]:
    """Measure how far a model fits the permuted labels of its training rows.

    Args:
        images: (N, S, S) of the rows.

    Returns:
        accuracy_on_permuted_labels; majority, the fraction of the largest class; and learned, whether the whole 95 %
        interval of the accuracy is above it. Otherwise both models are still close to their common initial weights,
        and similar maps are not evidence against a method.
    """
    targets = class_indices(rows["label"], explained_model.config.classes)
    accuracy = float((explained_model.predict_proba(images).argmax(1) == targets).mean())
    majority = float(np.bincount(targets).max() / len(targets))
    low, _ = wilson_interval(round(accuracy * len(targets)), len(targets))
    return {"accuracy_on_permuted_labels": accuracy, "majority": majority, "learned": low > majority}


def compare_maps(
    method: Method, original: ExplainedModel, permuted: ExplainedModel, images: Gray, targets: Ints, rows: pd.DataFrame
) -> dict[str, Any]:
    """Compare a method's maps of two models.

    Args:
        original: the recipe's model.
        permuted: the model after training on permuted labels.
        images: (N, S, S).
        targets: (N,) class numbers to explain.
        rows: label and group of each image.

    Returns:
        rank_correlation and ssim, as far as they are defined; unchanged, whether the whole interval of the rank
        correlation is above MAX_RANDOMIZATION_CORRELATION; and interval, each metric's value, low and high.
    """
    maps, permuted_maps = (model.explain([method], images, targets)[method].maps for model in (original, permuted))
    metrics = {"rank_correlation": rank_correlation(maps, permuted_maps), "ssim": ssim(maps, permuted_maps)}
    table = tabulate_means(method, metrics, rows, original.params)
    lines = table[["metric", "value", "low", "high"]].itertuples(index=False)
    intervals = {str(metric): [float(value) for value in interval] for metric, *interval in lines}
    # Not defined where all maps of one model are empty.
    value, low, _ = intervals.get("rank_correlation", [np.nan, np.nan, np.nan])
    lowest = low if np.isfinite(low) else value  # no interval: all images have the same correlation
    values = {metric: interval[0] for metric, interval in intervals.items()}
    return values | {"unchanged": bool(lowest >= MAX_RANDOMIZATION_CORRELATION), "interval": intervals}
