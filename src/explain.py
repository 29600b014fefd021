"""Explain the predictions of a recipe's model with heat maps, and measure how far these can be trusted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.attribution.cases import ExplainParams, choose_cases
from brain_tumor.attribution.constants import MAX_RANDOMIZATION_CORRELATION
from brain_tumor.attribution.explained_model import ExplainedModel, MapCache
from brain_tumor.attribution.measure import Measurements, measure_explanations
from brain_tumor.attribution.methods import CLASS_AGNOSTIC, normalize_maps
from brain_tumor.attribution.tables import summarize_table
from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs, write_csv, write_json
from brain_tumor.core.params import read_params
from brain_tumor.core.tables import class_indices, read_table
from brain_tumor.core.types import Maps
from brain_tumor.models.classifier import load_model
from brain_tumor.models.samples import read_split


def main(name: str) -> None:
    """Write the metrics of a recipe's heat maps, and data/explanations/<recipe>, from which they are drawn."""
    params = read_params(PARAMS, f"recipes.{name}.explain", ExplainParams)
    model, config, device = load_model(Path("models") / name)
    folder = Path(f"data/enhanced/{name}")
    rows = read_split(folder, Path(f"data/split/{name}.csv"), "train", "test")
    train, test = (rows[rows["part"] == part].reset_index(drop=True) for part in ("train", "test"))
    images = np.load(folder / "images.npy", mmap_mode="r")
    masks = np.load(folder / "masks.npy", mmap_mode="r") if (folder / "masks.npy").exists() else None
    predictions = read_table(f"data/predictions/{name}.csv", text=("label", "predicted"))

    cache = MapCache(ExplainedModel(model, config, params, device), images)
    # First, since the batches of the maps that are measured must not depend on the cases that are drawn.
    measurements = measure_explanations(cache, train, test, masks)
    cases = choose_cases(predictions, config.classes, params)
    predicted, other = explain_cases(cache, cases)
    counts = {method: {"num_cases": len(cases), "empty_maps": count_empty(maps)} for method, maps in predicted.items()}

    outs = (f"metrics/{name}/explain.json", f"metrics/{name}/explain.csv", f"data/explanations/{name}")
    with atomic_outputs(*outs) as (metrics_path, table_path, explanations):
        write_json(metrics_path, summarize_table(measurements.table, counts), digits=4)
        write_csv(table_path, measurements.table.round(4))
        explanations.mkdir()
        write_csv(explanations / "cases.csv", cases[["row", "label", "predicted", "other", "kind", "p"]])
        for file, maps in (("predicted", predicted), ("other", other)):
            save_arrays(explanations / f"{file}.npz", {method: normalize_maps(each) for method, each in maps.items()})
        save_arrays(explanations / "mean_maps.npz", measurements.mean_maps)
        np.save(explanations / "outside_head.npy", measurements.outside_head)
        write_json(explanations / "charts.json", chart_data(measurements, params, config.generated_data), digits=6)


def explain_cases(cache: MapCache, cases: pd.DataFrame) -> tuple[dict[str, Maps], dict[str, Maps]]:
    """Compute the maps of cases by method: for the predicted class, and for the other class of the case."""
    params, classes = cache.explained_model.params, cache.explained_model.config.classes
    rows = cases["row"].to_numpy()
    predicted, other = (class_indices(cases[column], classes) for column in ("predicted", "other"))
    return (
        {method: cache.explain(method, rows, predicted).maps for method in params.methods},
        {method: cache.explain(method, rows, other).maps for method in params.methods if method not in CLASS_AGNOSTIC},
    )


def count_empty(maps: Maps) -> int:
    """Count the maps (N, S, S) without any relevance."""
    return int((maps.reshape(len(maps), -1).max(1) <= 0).sum())


def save_arrays(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays by name, uncompressed, so that the bytes do not depend on the version of zlib."""
    np.savez(file, **dict[str, Any](arrays))


def chart_data(measurements: Measurements, params: ExplainParams, generated_images: bool) -> dict[str, object]:
    """Collect the numbers and names of the charts: charts.json."""
    return {
        "generated_images": generated_images,
        "methods": list(params.methods),
        "layer": params.layer,
        "class_counts": measurements.class_counts,
        "num_images_checks": measurements.num_images_checks,
        "curves": measurements.curves,
        "correlations": measurements.correlations,
        "max_correlation": MAX_RANDOMIZATION_CORRELATION,
    }


if __name__ == "__main__":
    run_stage(main, "recipe")
