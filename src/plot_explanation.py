"""Draw the heat maps of a recipe's cases, and the charts of the measurements of its heat maps."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs
from brain_tumor.core.params import read_params
from brain_tumor.core.tables import read_table
from brain_tumor.core.types import Gray, Maps
from brain_tumor.plotting.attribution import (
    HeatCase,
    plot_deletion_insertion,
    plot_heat_cases,
    plot_mean_maps,
    plot_randomization,
)


def main(name: str) -> None:
    """Write contact sheets of the cases under their heat maps, and charts of the measurements."""
    read_params(PARAMS, f"recipes.{name}", dict[str, Any])  # an unknown name is an error that lists the others
    folder = Path(f"data/explanations/{name}")
    data = json.loads((folder / "charts.json").read_text(encoding="utf-8"))
    title = f"{name}{' (generated images)' if data['generated_images'] else ''}"
    with atomic_outputs(f"plots/{name}/sheets", f"plots/{name}/maps") as (sheets, charts):
        sheets.mkdir()
        charts.mkdir()
        plot_sheets(sheets, folder, Path(f"data/enhanced/{name}"), data, title)
        plot_charts(charts, folder, data, title)


def plot_sheets(sheets: Path, folder: Path, enhanced: Path, data: dict[str, Any], title: str) -> None:
    """Draw a sheet for each method, and one with all methods.

    Args:
        folder: data/explanations/<recipe>.
        enhanced: data/enhanced/<recipe>.
        data: the content of charts.json.
    """
    cases = read_table(folder / "cases.csv", numbers=("row", "p"))
    numbers = cases["row"].to_numpy()
    images = np.load(enhanced / "images.npy", mmap_mode="r")[numbers]
    masks = np.load(enhanced / "masks.npy", mmap_mode="r")[numbers] if (enhanced / "masks.npy").exists() else None
    predicted, other = (dict(np.load(folder / f"{which}.npz")) for which in ("predicted", "other"))
    methods = data["methods"]
    for method in methods:
        heats = [
            {f"for {case['predicted']}": predicted[method][k], f"for {case['other']}": other[method][k]}
            if method in other
            else {"for any class": predicted[method][k]}
            for k, case in cases.iterrows()
        ]
        layer = f", {data['layer']} layer" if method.endswith(("-cam", "-cam++")) else ""
        plot_heat_cases(sheets / f"{method}.png", heat_cases(cases, images, heats, masks), f"{title}: {method}{layer}")
    if len(methods) > 1:
        first = cases.drop_duplicates(["label", "kind"])
        heats = [{method: predicted[method][k] for method in methods} for k in first.index]
        selected = heat_cases(first, images[first.index], heats, None if masks is None else masks[first.index])
        plot_heat_cases(sheets / "all-methods.png", selected, f"{title}: all methods, for the predicted class")


def heat_cases(cases: pd.DataFrame, images: Gray, heats: list[dict[str, Maps]], masks: Gray | None) -> list[HeatCase]:
    """Combine cases with their images (N, S, S), heat maps and masks (N, S, S), and write the captions."""
    result = []
    for k, (_, case) in enumerate(cases.iterrows()):
        caption = f"{case['kind']}: {case['predicted']} {case['p']:.0%}, true: {case['label']}  (row {case['row']})"
        mask = None if masks is None else masks[k]
        result.append(HeatCase(images[k], heats[k], mask, caption, case["predicted"] != case["label"]))
    return result


def plot_charts(charts: Path, folder: Path, data: dict[str, Any], title: str) -> None:
    """Draw the mean maps, the deletion and insertion curves, and the randomization test."""
    maps, outside_head = dict(np.load(folder / "mean_maps.npz")), np.load(folder / "outside_head.npy")
    plot_mean_maps(charts / "mean.png", maps, outside_head, data["class_counts"], f"{title}: mean maps")
    images = f"{data['num_images_checks']} test images"
    plot_deletion_insertion(
        charts / "removal.png",
        data["curves"],
        data["fractions"],
        data["methods"],
        f"{title}: deletion and insertion, {images}",
    )
    plot_randomization(
        charts / "randomized.png",
        data["correlations"],
        data["max_correlation"],
        f"{title}: cascading weight randomization, {images}",
    )


if __name__ == "__main__":
    run_stage(main, "recipe")
