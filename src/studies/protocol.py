"""Evaluate a recipe by its author's protocol, which selects the epoch on the test images."""

import logging

import numpy as np

from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs, write_json
from brain_tumor.core.params import read_params
from brain_tumor.core.tables import read_table
from brain_tumor.evaluation.evaluate import EvaluateParams
from brain_tumor.metrics.bootstrap import PredictionSet, ResamplingUnits, bootstrap_metrics
from brain_tumor.reporting.results import Results
from brain_tumor.studies.statistics import prediction_arrays

log = logging.getLogger(__name__)
SUBSET = "selected on test"


def main(name: str) -> None:
    """Write the accuracy on the test images that selected the epoch, which is not a test but what was published."""
    classes = read_params(PARAMS, f"recipes.{name}.classes", tuple[str, ...])
    params = read_params(PARAMS, f"recipes.{name}.evaluate", EvaluateParams)
    table = read_table(f"data/protocol/{name}.csv", text=("label", "group"))
    truth, probabilities = prediction_arrays(table, classes)
    units = ResamplingUnits(truth, table["group"].tolist(), table["label"].tolist())
    predictions = PredictionSet(name, SUBSET, probabilities, np.ones(len(truth), bool))
    accuracy = Results(bootstrap_metrics(units, [predictions], classes, params)).get("accuracy", SUBSET, name)
    assert accuracy is not None
    value, low, high, n = accuracy
    with atomic_outputs(f"metrics/{name}/protocol.json") as (metrics,):
        write_json(metrics, {"n": n, "accuracy": value, "accuracy_low": low, "accuracy_high": high}, digits=4)
    log.info("%s: accuracy %.4f on the %d test images that selected the epoch", name, value, n)


if __name__ == "__main__":
    run_stage(main, "recipe")
