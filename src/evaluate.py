"""Evaluate the model of a recipe on its test rows."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from brain_tumor import evaluation, runtime
from brain_tumor.calibration import to_probabilities
from brain_tumor.classifier import Classifier, ModelCard, load, predict_logits
from brain_tumor.evaluation import EvaluateParams, Predicted
from brain_tumor.evaluation_charts import draw
from brain_tumor.outputs import staged, write_csv, write_json
from brain_tumor.params import read
from brain_tumor.robustness import alter
from brain_tumor.rows import gather, read_rows
from stage import PARAMS, run

log = logging.getLogger(__name__)
SUBGROUPS = ("site", "age", "sex")  # carried along where the source says them
FIGURES = ("figures", "robustness")
TABLES = ("predictions", "suspects", "roc", "pr", "reliability", "coverage", "decision")


class Predictor:
    """A recipe's model over its images."""

    def __init__(self, name: str) -> None:
        self.folder, self.split = Path(f"data/enhanced/{name}"), Path(f"data/split/{name}.csv")
        self.images: NDArray[np.uint8] = np.load(self.folder / "images.npy", mmap_mode="r")
        self.device = runtime.start()
        model, card = load(Path("models") / name, self.device)
        self.model: Classifier = model
        self.card: ModelCard = card

    def rows(self, *parts: str) -> pd.DataFrame:
        """The rows of some parts of the split."""
        return read_rows(self.folder, self.split, *parts)

    def predict(self, rows: pd.DataFrame, images: NDArray[np.uint8] | None = None) -> tuple[Any, Any, Any]:
        """Class numbers (N,), and probabilities (N, K) before and after calibration."""
        found = gather(self.images, rows, self.card.classes, self.card.metadata)
        pixels = found.images if images is None else torch.from_numpy(images)
        logits = predict_logits(self.model, pixels, self.device, found.metadata).double()
        raw, calibrated = (
            to_probabilities(logits, self.card.head, temperature).numpy()
            for temperature in (1.0, self.card.calibration.temperature)
        )
        return found.targets.numpy(), raw, calibrated


def main(name: str) -> None:
    """Write the figures for all test rows (`published`) and for those without a copy in training (`clean`)."""
    params = read(PARAMS, f"recipes.{name}.evaluate", EvaluateParams)
    dataset = read(PARAMS, f"recipes.{name}.dataset", str)
    predictor = Predictor(name)
    card, classes = predictor.card, predictor.card.classes
    audit = pd.read_csv(f"data/audit/{dataset}.csv", dtype=str, keep_default_na=False)
    rows = predictor.rows("test").merge(audit[["path", "width", "height"]], on="path", how="left", validate="1:1")
    test = Predicted(rows, *predictor.predict(rows))
    others = pd.read_csv(f"data/baselines/{name}.csv").groupby("baseline", sort=False)
    columns = [f"p_{label}" for label in classes]
    baselines = {str(key): table.set_index("row").loc[rows["row"], columns].to_numpy() for key, table in others}

    figures = [evaluation.evaluate(test, baselines, card.calibration, classes, params)]
    figures.append(evaluation.by_patient(test, classes, params))
    for part in params.also:
        extra = predictor.rows(part)
        truth, _, calibrated = predictor.predict(extra)
        figures.append(evaluation.of_part(part, truth, calibrated, extra["group"].tolist(), classes, params))
    table = pd.concat(figures, ignore_index=True)
    pixels = predictor.images[rows["row"].to_numpy()]
    altered = {}
    for alteration in params.robustness:
        log.info("%s: %s", name, alteration)
        altered[str(alteration)] = predictor.predict(rows, alter(pixels, alteration, params.seed))[2]
    robustness = evaluation.under_alterations(test, altered, classes, params)

    files_of = [f"metrics/{name}/{key}.csv" for key in FIGURES] + [f"plots/{name}/{key}.csv" for key in TABLES]
    outs = (f"metrics/{name}/test.json", f"plots/{name}/charts", *files_of)
    with staged(*outs) as (metrics, charts, *files):
        charts.mkdir()
        tables = draw(charts, test, pixels, table, robustness, classes, name, card.generated_data)
        tables |= {"predictions": _predictions(test, classes), "figures": table, "robustness": robustness}
        tables["suspects"] = evaluation.suspects(rows, test.truth, test.calibrated, classes)
        for key, file in zip(FIGURES + TABLES, files, strict=True):
            write_csv(file, tables[key].round(4))
        write_json(metrics, evaluation.headline(table, params), digits=4)
    of_model = table[(table["figure"] == "accuracy") & (table["class"] == "") & ~table["model"].str.contains("−")]
    for model, subset, n, value in of_model[["model", "subset", "n", "value"]].itertuples(index=False):
        log.info("%s: %s, %s: n = %d, accuracy %.4f", name, model, subset, n, value)


def _predictions(test: Predicted, classes: tuple[str, ...]) -> pd.DataFrame:
    table = test.rows[["row", "path", "label"]].assign(predicted=[classes[k] for k in test.calibrated.argmax(1)])
    table["leak"] = test.rows["leak"]
    for column in SUBGROUPS:
        if column in test.rows:
            table[column] = test.rows[column]
    for k, label in enumerate(classes):
        table[f"p_{label}"] = test.calibrated[:, k]
    return table


if __name__ == "__main__":
    run(main, "recipe")
