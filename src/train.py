"""Train the model of a recipe."""

import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import timm
import torch
from numpy.typing import NDArray

from brain_tumor import provenance, runtime
from brain_tumor.classifier import Classifier, ModelCard, save
from brain_tumor.enhance import EnhanceParams
from brain_tumor.metadata import Column, encode, learn
from brain_tumor.outputs import remove, staged, write_csv, write_json
from brain_tumor.params import read
from brain_tumor.resuming import Epoch
from brain_tumor.rows import read_rows
from brain_tumor.training import Rows, TrainParams, train
from stage import PARAMS, SCRATCH
from stage import run as run_stage

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Train on the training rows, select on the validation rows; test rows are not touched."""
    params = read(PARAMS, f"recipes.{name}.train", TrainParams)
    classes = read(PARAMS, f"recipes.{name}.classes", tuple[str, ...])
    dataset = read(PARAMS, f"recipes.{name}.dataset", str)
    enhance = read(PARAMS, f"recipes.{name}.enhance", EnhanceParams)
    generated = read(PARAMS, f"datasets.{dataset}.about.generated", bool)
    backbone_folder = Path("data/weights") / read(PARAMS, f"recipes.{name}.backbone", str)
    backbone = json.loads((backbone_folder / "backbone.json").read_text())
    # Not whether the file is there: one that is promised and missing must be an error, never random weights.
    weights = backbone_folder / "model.safetensors" if backbone["sha256"] else None

    folder = Path(f"data/enhanced/{name}")
    rows = read_rows(folder, Path(f"data/split/{name}.csv"), "train", "validation")
    images = np.load(folder / "images.npy", mmap_mode="r")
    known = json.loads(Path(f"data/split/{name}.json").read_text())
    class_weights = [known["class_weights"][label] for label in classes]
    metadata = learn(rows[rows["part"] == "train"], params.metadata)
    training, validation = (
        _rows(images, rows[rows["part"] == part], classes, metadata) for part in ("train", "validation")
    )

    card = ModelCard(
        recipe=name,
        dataset=dataset,
        generated_data=generated,
        classes=classes,
        architecture=backbone["architecture"],
        head=params.head,
        mean=tuple(backbone["mean"]),
        std=tuple(backbone["std"]),
        pretrained=backbone["source"],
        enhance=enhance,
        metadata=metadata,
        data=_fingerprint(training, validation),
        code=provenance.code_fingerprints(Path("src")),
        versions={"torch": torch.__version__.split("+")[0], "timm": timm.__version__},
    )
    run = runtime.launch()
    torch.manual_seed(params.seed)  # for the new head, and for everything when training from scratch
    model = Classifier(card, weights)
    settings = f"{card.model_dump_json()} {params.model_dump_json()} {class_weights}"
    key = hashlib.sha256(settings.encode()).hexdigest()[:16]
    scratch = SCRATCH / "train" / name / f"{key}.pt"
    state = train(model, training, validation, class_weights, params, run, scratch)
    if run.rank:  # one process writes for all
        return
    best = state.history[state.best]
    outs = (f"models/{name}", f"metrics/{name}/train.json", f"plots/{name}/curves.csv")
    with staged(*outs) as (checkpoint, metrics, curves):
        checkpoint.mkdir()
        save(checkpoint, model, card)
        write_csv(curves, pd.DataFrame(state.history, columns=list(Epoch._fields)))
        trained = [p.numel() for p in model.parameters() if p.requires_grad]
        numbers = {"selected_epoch": best.epoch, "images": len(training.targets), "parameters": sum(trained)}
        write_json(metrics, numbers | {key: getattr(best, key) for key in Epoch._fields[2:]})
    remove(SCRATCH / "train" / name)
    log.info("%s: epoch %d, validation accuracy %.4f", name, best.epoch, best.validation_accuracy)


def _rows(
    images: NDArray[np.uint8], rows: pd.DataFrame, classes: tuple[str, ...], metadata: tuple[Column, ...]
) -> Rows:
    targets = torch.tensor([classes.index(label) for label in rows["label"]])
    return Rows(torch.from_numpy(images[rows["row"].to_numpy()]), targets, encode(rows, metadata))


def _fingerprint(*parts: Rows) -> str:
    digest = hashlib.sha256()
    for part in parts:
        for values in part:
            digest.update(values.numpy().tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    run_stage(main, "recipe")
