"""Train the model of a recipe."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from brain_tumor.core.cli import SCRATCH, run_stage
from brain_tumor.core.outputs import atomic_outputs, remove, write_csv, write_json
from brain_tumor.models.classifier import save_model
from brain_tumor.models.samples import read_split
from brain_tumor.training.checkpoint import EpochLog
from brain_tumor.training.fit import fit
from brain_tumor.training.recipe import read_training_config

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Train on the training rows, select the epoch on the validation rows, and calibrate; test rows are not read."""
    recipe = read_training_config(name)
    folder, scratch = Path(f"data/enhanced/{name}"), SCRATCH / "train" / name
    rows = read_split(folder, Path(f"data/split/{name}.csv"), "train", "validation", "conformal")
    training, validation, conformal = (rows[rows["part"] == part] for part in ("train", "validation", "conformal"))
    images = np.load(folder / "images.npy", mmap_mode="r")
    weights = json.loads(Path(f"data/split/{name}.json").read_text())["class_weights"]
    class_weights = [weights[label] for label in recipe.classes]
    result = fit(recipe, images, training, validation, conformal, class_weights, scratch)
    if result is None:  # one process writes for all
        return
    best = result.state.history[result.state.best]
    outs = (f"models/{name}", f"metrics/{name}/train.json", f"plots/{name}/curves.csv")
    with atomic_outputs(*outs) as (model, metrics, curves):
        model.mkdir()
        save_model(model, result.model, result.config)
        write_csv(curves, pd.DataFrame(result.state.history, columns=list(EpochLog._fields)))
        num_parameters = sum(p.numel() for p in result.model.parameters() if p.requires_grad)
        numbers = {"selected_epoch": best.epoch, "images": len(training), "parameters": num_parameters}
        write_json(metrics, numbers | {key: getattr(best, key) for key in EpochLog._fields[2:]})
    remove(scratch)
    accuracy = f"validation accuracy {best.validation_accuracy:.4f}" if len(validation) else "no validation rows"
    log.info("%s: epoch %d, %s", name, best.epoch, accuracy)


if __name__ == "__main__":
    run_stage(main, "recipe")
