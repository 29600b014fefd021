"""Train the model of a recipe."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from brain_tumor.classifier import save
from brain_tumor.fitting import fit
from brain_tumor.outputs import remove, staged, write_csv, write_json
from brain_tumor.resuming import Epoch
from brain_tumor.rows import read_rows
from recipe import read_recipe
from stage import SCRATCH, run

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Train on the training rows, select on the validation rows; test rows are not touched."""
    recipe = read_recipe(name)
    folder, scratch = Path(f"data/enhanced/{name}"), SCRATCH / "train" / name
    rows = read_rows(folder, Path(f"data/split/{name}.csv"), "train", "validation")
    training, validation = (rows[rows["part"] == part] for part in ("train", "validation"))
    images = np.load(folder / "images.npy", mmap_mode="r")
    weights = json.loads(Path(f"data/split/{name}.json").read_text())["class_weights"]
    fitted = fit(recipe, images, training, validation, [weights[label] for label in recipe.classes], scratch)
    if fitted is None:  # one process writes for all
        return
    model, card, state = fitted
    best = state.history[state.best]
    outs = (f"models/{name}", f"metrics/{name}/train.json", f"plots/{name}/curves.csv")
    with staged(*outs) as (checkpoint, metrics, curves):
        checkpoint.mkdir()
        save(checkpoint, model, card)
        write_csv(curves, pd.DataFrame(state.history, columns=list(Epoch._fields)))
        trained = [p.numel() for p in model.parameters() if p.requires_grad]
        numbers = {"selected_epoch": best.epoch, "images": len(training), "parameters": sum(trained)}
        write_json(metrics, numbers | {key: getattr(best, key) for key in Epoch._fields[2:]})
    remove(scratch)
    log.info("%s: epoch %d, validation accuracy %.4f", name, best.epoch, best.validation_accuracy)


if __name__ == "__main__":
    run(main, "recipe")
