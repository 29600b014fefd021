"""Draw the external validation of all recipes."""

import json
from pathlib import Path

from brain_tumor.core.cli import PARAMS, run_cli
from brain_tumor.core.outputs import atomic_outputs
from brain_tumor.core.params import read_params
from brain_tumor.core.tables import read_table
from brain_tumor.plotting.evaluation import plot_metric_matrix

DRAWN_METRICS = ("balanced_accuracy", "ece")


def main() -> None:
    """Write plots/external/<metric>.png: a matrix of recipes by data sets."""
    recipes, datasets = (read_params(PARAMS, f"external.{key}", tuple[str, ...]) for key in ("recipes", "datasets"))
    table = read_table("metrics/external/metrics.csv", numbers=("n", "value", "low", "high"))
    summary = json.loads(Path("metrics/external/summary.json").read_text(encoding="utf-8"))
    generated = {
        (recipe, dataset)
        for recipe, by_dataset in summary.items()
        for dataset, metrics in by_dataset.items()
        if metrics["generated_images"]
    }
    with atomic_outputs("plots/external") as (folder,):
        folder.mkdir()
        for metric in DRAWN_METRICS:
            part = table[table["metric"] == metric]
            title = metric.replace("_", " ")
            plot_metric_matrix(folder / f"{metric}.png", part, recipes, datasets, generated, title)


if __name__ == "__main__":
    run_cli(main)
