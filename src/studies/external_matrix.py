"""Summarize the external validation of all recipes."""

import logging
from typing import Any

import numpy as np
import pandas as pd

from brain_tumor.core.cli import PARAMS, run_cli
from brain_tumor.core.errors import UserError
from brain_tumor.core.outputs import atomic_outputs, write_csv, write_json
from brain_tumor.core.params import read_params
from brain_tumor.core.tables import read_table
from brain_tumor.evaluation.evaluate import HEADLINE
from brain_tumor.metrics.bootstrap import BootstrapParams, PredictionSet, ResamplingUnits, bootstrap_metrics
from brain_tumor.metrics.classification import count_confusion
from brain_tumor.studies.label_mapping import ExternalParams
from brain_tumor.studies.statistics import class_names, prediction_arrays

log = logging.getLogger(__name__)


def main() -> None:
    """Write the headline metrics, with intervals, of each recipe's model on each other data set."""
    params = read_params(PARAMS, "external", ExternalParams)
    bootstrap = BootstrapParams(rounds=params.rounds, seed=params.seed)
    tables: list[pd.DataFrame] = []
    summary: dict[str, dict[str, dict[str, Any]]] = {}
    for recipe in params.recipes:
        own_dataset = read_params(PARAMS, f"recipes.{recipe}.dataset", str)
        for dataset in params.datasets:
            predictions = read_table(f"data/external/{recipe}-{dataset}.csv", text=("label", "group"))
            if predictions.empty:
                continue
            metrics = evaluate_predictions(predictions, bootstrap)
            tables.append(metrics.assign(recipe=recipe, dataset=dataset))
            values = dict(zip(metrics["metric"], metrics["value"], strict=True))
            generated = any(
                read_params(PARAMS, f"datasets.{one}.info.generated", bool) for one in (own_dataset, dataset)
            )
            n = int(metrics["n"].iloc[0])
            summary.setdefault(recipe, {})[dataset] = {"n": n, "generated_images": generated, **values}
            classes = class_names(predictions)
            truth, probabilities = prediction_arrays(predictions, classes)
            confusion = count_confusion(truth, probabilities.argmax(1), len(classes))
            # Lists, which `dvc metrics diff` leaves out; the true classes are the rows.
            summary[recipe][dataset] |= {"classes": list(classes), "confusion": confusion.tolist()}
            log.info("%s on %s: n = %d, balanced accuracy %.4f", recipe, dataset, n, values["balanced_accuracy"])
    if not tables:
        raise UserError("no recipe of external.recipes can be evaluated on any of external.datasets")
    columns = ["recipe", "dataset", "metric", "n", "value", "low", "high"]
    table = pd.concat(tables, ignore_index=True)[columns]
    with atomic_outputs("metrics/external/metrics.csv", "metrics/external/summary.json") as (
        metrics_path,
        summary_path,
    ):
        write_csv(metrics_path, table.round(4))
        write_json(summary_path, summary, digits=4)


def evaluate_predictions(table: pd.DataFrame, bootstrap: BootstrapParams) -> pd.DataFrame:
    """Compute the headline metrics of a table of predictions: label, group, and p_<class> of each class.

    Returns:
        metric, n, value, low, high.
    """
    classes = class_names(table)
    truth, probabilities = prediction_arrays(table, classes)
    units = ResamplingUnits(truth, table["group"].tolist(), table["label"].tolist())
    predictions = PredictionSet("", "", probabilities, np.ones(len(truth), bool))
    metrics = bootstrap_metrics(units, [predictions], classes, bootstrap)
    metrics = metrics[(metrics["class"] == "") & metrics["metric"].isin(HEADLINE)]
    return metrics[["metric", "n", "value", "low", "high"]]


if __name__ == "__main__":
    run_cli(main)
