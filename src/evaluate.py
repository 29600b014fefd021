"""Evaluate the model of a recipe on its test rows."""

import logging
from pathlib import Path

import numpy as np
import torch

from brain_tumor import plots, runtime
from brain_tumor.classifier import load, predict_logits
from brain_tumor.metrics import EvaluateParams, measure
from brain_tumor.outputs import staged, write_csv, write_json
from brain_tumor.params import read
from brain_tumor.rows import read_rows
from stage import PARAMS, run

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Write the figures for all test rows (`published`) and for those without a copy in training (`clean`)."""
    params = read(PARAMS, f"recipes.{name}.evaluate", EvaluateParams)
    folder = Path(f"data/enhanced/{name}")
    rows = read_rows(folder, Path(f"data/split/{name}.csv"), "test")
    images = np.load(folder / "images.npy", mmap_mode="r")
    device = runtime.start()
    model, card = load(Path("models") / name, device)
    logits = predict_logits(model, torch.from_numpy(images[rows["row"].to_numpy()]), device)
    probabilities = model.probabilities(logits.double()).numpy()

    truth = np.array([card.classes.index(label) for label in rows["label"]], np.int64)
    clean = ~rows["leaked"].to_numpy(bool)
    figures = {
        subset: measure(truth[chosen], probabilities[chosen], rows["group"][chosen].tolist(), card.classes, params)
        for subset, chosen in (("published", np.ones_like(clean)), ("clean", clean))
    }
    predicted = probabilities.argmax(1)
    table = rows[["row", "path", "label"]].assign(predicted=[card.classes[k] for k in predicted])
    table["leaked"] = rows["leaked"]
    for k, label in enumerate(card.classes):
        table[f"p_{label}"] = probabilities[:, k].round(4)
    counts = np.zeros((len(card.classes),) * 2, np.int64)
    np.add.at(counts, (truth, predicted), 1)
    generated = " (generated images)" if card.generated_data else ""
    outs = (f"metrics/{name}/test.json", f"plots/{name}/predictions.csv", f"plots/{name}/confusion.png")
    with staged(*outs) as (metrics, predictions, picture):
        write_json(metrics, figures, digits=4)
        write_csv(predictions, table)
        plots.confusion_matrix(picture, counts, card.classes, f"{name}: {len(rows)} test images{generated}")
    for subset, found in figures.items():
        log.info("%s, %s: n = %d, accuracy %s", name, subset, found["n"], found.get("accuracy", "not defined"))


if __name__ == "__main__":
    run(main, "recipe")
