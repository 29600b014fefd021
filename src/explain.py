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
from brain_tumor.attribution.faithfulness import CELL_COUNTS, GRID
from brain_tumor.attribution.measure import Measurements, measure_explanations
from brain_tumor.attribution.methods import CLASS_AGNOSTIC
from brain_tumor.attribution.shortcuts import content_masks
from brain_tumor.attribution.tables import summarize_table
from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs, write_csv, write_json
from brain_tumor.core.params import read_params
from brain_tumor.core.tables import class_indices, read_table
from brain_tumor.core.types import Maps
from brain_tumor.models.classifier import load_model
from brain_tumor.models.samples import read_split

SCALE_QUANTILE = 0.9


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
    content = content_masks(images[cases["row"].to_numpy()])  # relevance in the padding is measured, but not drawn
    scales = {method: common_scale(maps) for method, maps in predicted.items()}
    counts = {method: {"num_cases": len(cases), "empty_maps": count_empty(maps)} for method, maps in predicted.items()}

    outs = (f"metrics/{name}/explain.json", f"metrics/{name}/explain.csv", f"data/explanations/{name}")
    with atomic_outputs(*outs) as (metrics_path, table_path, explanations):
        write_json(metrics_path, summarize_table(measurements.table, counts), digits=4)
        write_csv(table_path, measurements.table.round(4))
        explanations.mkdir()
        write_csv(explanations / "cases.csv", cases[["row", "label", "predicted", "other", "kind", "p"]])
        for file, maps in (("predicted", predicted), ("other", other)):
            drawn = {method: values * content / scales[method] for method, values in maps.items()}
            save_arrays(explanations / f"{file}.npz", {method: values.clip(0, 1) for method, values in drawn.items()})
        save_arrays(explanations / "mean_maps.npz", measurements.mean_maps)
        np.save(explanations / "outside_head.npy", measurements.outside_head)
        write_json(explanations / "charts.json", chart_data(measurements, params, config.generated_data), digits=6)


def explain_cases(cache: MapCache, cases: pd.DataFrame) -> tuple[dict[str, Maps], dict[str, Maps]]:
    """Compute the maps of cases by method: for the predicted class, and for the other class of the case."""
    params, classes = cache.explained_model.params, cache.explained_model.config.classes
    rows = cases["row"].to_numpy()
    predicted, other = (class_indices(cases[column], classes) for column in ("predicted", "other"))
    class_specific = [method for method in params.methods if method not in CLASS_AGNOSTIC]
    return (
        {method: result.maps for method, result in cache.explain(params.methods, rows, predicted).items()},
        {method: result.maps for method, result in cache.explain(class_specific, rows, other).items()},
    )


def common_scale(maps: Maps) -> np.float32:
    """Return the value of a method's maps (N, S, S) that is drawn as 1: most of their maxima are below it.

    With a scale for each map, noise would look like relevance.
    """
    maxima = maps.reshape(len(maps), -1).max(1)
    return np.float32(np.quantile(maxima, SCALE_QUANTILE) or 1.0) if len(maps) else np.float32(1)


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
        "fractions": [0.0, *(count / GRID**2 for count in CELL_COUNTS)],
        "curves": measurements.curves,
        "correlations": measurements.correlations,
        "max_correlation": MAX_RANDOMIZATION_CORRELATION,
    }


if __name__ == "__main__":
    run_stage(main, "recipe")
