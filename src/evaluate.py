"""Evaluate the model of a recipe on its test rows."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from brain_tumor import plots, runtime
from brain_tumor.calibration import to_probabilities
from brain_tumor.classifier import load, predict_logits
from brain_tumor.leakage import LEAKS
from brain_tumor.metadata import encode
from brain_tumor.metrics import EvaluateParams, measure
from brain_tumor.outputs import staged, write_csv, write_json
from brain_tumor.params import read
from brain_tumor.rows import read_rows
from stage import PARAMS, run

log = logging.getLogger(__name__)
SUBGROUPS = ("site", "age", "sex")  # carried along where the source says them


def main(name: str) -> None:
    """Write the figures for all test rows (`published`) and for those without a copy in training (`clean`)."""
    params = read(PARAMS, f"recipes.{name}.evaluate", EvaluateParams)
    folder = Path(f"data/enhanced/{name}")
    rows = read_rows(folder, Path(f"data/split/{name}.csv"), "test")
    images = np.load(folder / "images.npy", mmap_mode="r")
    device = runtime.start()
    model, card = load(Path("models") / name, device)
    metadata = encode(rows, card.metadata)
    logits = predict_logits(model, torch.from_numpy(images[rows["row"].to_numpy()]), device, metadata)
    probabilities = to_probabilities(logits.double(), card.head).numpy()

    truth = np.array([card.classes.index(label) for label in rows["label"]], np.int64)
    leak = rows["leak"].to_numpy(str)

    def figures_of(chosen: NDArray[np.bool_]) -> dict[str, Any]:
        groups = rows["group"][chosen].tolist()
        return measure(truth[chosen], probabilities[chosen], groups, card.classes, params)

    figures = {"published": figures_of(leak == leak), "clean": figures_of(leak == "")}
    shown = {"": figures["clean"]} | {kind: figures_of(leak == kind) for kind in LEAKS}
    by_leak = {kind or "none": only_accuracy(found) for kind, found in shown.items()}
    predicted = probabilities.argmax(1)
    table = rows[["row", "path", "label"]].assign(predicted=[card.classes[k] for k in predicted])
    table["leak"] = rows["leak"]
    for column in SUBGROUPS:
        if column in rows:
            table[column] = rows[column]
    for k, label in enumerate(card.classes):
        table[f"p_{label}"] = probabilities[:, k].round(4)
    counts = np.zeros((len(card.classes),) * 2, np.int64)
    np.add.at(counts, (truth, predicted), 1)
    generated = " (generated images)" if card.generated_data else ""
    outs = (f"metrics/{name}/test.json", f"plots/{name}/predictions.csv", f"plots/{name}/confusion.png")
    with staged(*outs) as (metrics, predictions, picture):
        write_json(metrics, figures | {"by_leak": by_leak}, digits=4)
        write_csv(predictions, table)
        plots.confusion_matrix(picture, counts, card.classes, f"{name}: {len(rows)} test images{generated}")
    for subset, found in figures.items():
        log.info("%s, %s: n = %d, accuracy %s", name, subset, found["n"], found.get("accuracy", "not defined"))


def only_accuracy(figures: dict[str, Any]) -> dict[str, Any]:
    """Of measured figures, n and the accuracy with its interval."""
    if not figures["n"]:
        return {"n": 0}
    return {"n": figures["n"], "accuracy": figures["accuracy"], "interval": figures["interval"]["accuracy"]}


if __name__ == "__main__":
    run(main, "recipe")
