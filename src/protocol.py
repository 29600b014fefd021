"""What a recipe reaches by its author's protocol, in which the test images choose the epoch."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from brain_tumor.evaluation import EvaluateParams
from brain_tumor.intervals import Sample, View, measure
from brain_tumor.outputs import staged, write_json
from brain_tumor.params import read
from brain_tumor.repeats import arrays
from brain_tumor.results import Results
from stage import PARAMS, run

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Write the accuracy on the test images that chose the epoch: not a test, but what was published."""
    classes = read(PARAMS, f"recipes.{name}.classes", tuple[str, ...])
    params = read(PARAMS, f"recipes.{name}.evaluate", EvaluateParams)
    table = pd.read_csv(Path(f"data/protocol/{name}.csv"), dtype={"label": str, "group": str}, keep_default_na=False)
    truth, probabilities = arrays(table, classes)
    sample = Sample(truth, table["group"].tolist(), table["label"].tolist())
    view = View(name, "test rows that chose the epoch", probabilities, np.ones(len(truth), bool))
    accuracy = Results(measure(sample, [view], classes, params)).get("accuracy", view.subset, name)
    assert accuracy is not None
    found = {"n": len(truth), "accuracy": accuracy.value, "accuracy_low": accuracy.low, "accuracy_high": accuracy.high}
    with staged(f"metrics/{name}/protocol.json") as (metrics,):
        write_json(metrics, found, digits=4)
    log.info("%s: accuracy %.4f on the %d test images that chose the epoch", name, accuracy.value, len(truth))


if __name__ == "__main__":
    run(main, "recipe")
