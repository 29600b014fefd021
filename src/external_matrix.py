"""Sum up how each recipe's model does on data sets that it has never seen."""

import logging

import numpy as np
import pandas as pd

from brain_tumor import charts
from brain_tumor.errors import UserError
from brain_tumor.evaluation import HEADLINE
from brain_tumor.external import ExternalParams
from brain_tumor.intervals import Rounds, Sample, View, measure
from brain_tumor.outputs import staged, write_csv, write_json
from brain_tumor.params import read
from brain_tumor.repeats import arrays, classes_of
from stage import PARAMS, guarded

log = logging.getLogger(__name__)


def main() -> None:
    """Write the headline figures with intervals of each model on each other data set, and a picture of them."""
    params = read(PARAMS, "external", ExternalParams)
    rounds = Rounds(rounds=params.rounds, seed=params.seed)
    tables, shown = [], {}
    generated = {}
    for name in params.recipes:
        own = read(PARAMS, f"recipes.{name}.dataset", str)
        for dataset in params.datasets:
            either = [read(PARAMS, f"datasets.{one}.about.generated", bool) for one in (own, dataset)]
            generated[name, dataset] = any(either)
    for name in params.recipes:
        for dataset in params.datasets:
            text = {"label": str, "group": str}
            table = pd.read_csv(f"data/external/{name}-{dataset}.csv", dtype=text, keep_default_na=False)
            if table.empty:
                continue
            found = measured(table, name, dataset, rounds)
            tables.append(found)
            shown[name, dataset] = found
            accuracy = found[found["figure"] == "balanced_accuracy"].iloc[0]
            log.info("%s on %s: n = %d, balanced accuracy %.4f", name, dataset, len(table), accuracy["value"])
    if not tables:
        raise UserError("no recipe of external.recipes can be asked about any of external.datasets")
    figures = pd.concat(tables, ignore_index=True)
    headline = {
        f"{name} on {dataset}": {"n": int(found["n"].iloc[0]), "generated_images": generated[name, dataset]}
        | dict(zip(found["figure"], found["value"], strict=True))
        for (name, dataset), found in shown.items()
    }
    with staged("metrics/external/figures.csv", "metrics/external/summary.json", "plots/external") as outs:
        write_csv(outs[0], figures.round(4))
        write_json(outs[1], headline, digits=4)
        outs[2].mkdir()
        for figure in ("balanced_accuracy", "ece"):
            part = figures[figures["figure"] == figure]
            marks = {pair for pair, made in generated.items() if made}
            title = figure.replace("_", " ")
            charts.figure_matrix(outs[2] / f"{figure}.png", part, params.recipes, params.datasets, marks, title)


def measured(table: pd.DataFrame, name: str, dataset: str, rounds: Rounds) -> pd.DataFrame:
    """The headline figures of predictions: label, group, and p_<class> of each class."""
    classes = classes_of(table)
    truth, probabilities = arrays(table, classes)
    sample = Sample(truth, table["group"].tolist(), table["label"].tolist())
    found = measure(sample, [View(name, dataset, probabilities, np.ones(len(truth), bool))], classes, rounds)
    found = found[(found["class"] == "") & found["figure"].isin(HEADLINE)]
    return found[["model", "subset", "figure", "n", "value", "low", "high"]]


if __name__ == "__main__":
    guarded(main)
