"""From a recipe and its rows to a finished model: trained, selected and calibrated."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import timm
import torch
from numpy.typing import NDArray

from brain_tumor import provenance, runtime
from brain_tumor.calibration import calibrate
from brain_tumor.classifier import Classifier, ModelCard, predict_logits
from brain_tumor.enhance import EnhanceParams
from brain_tumor.metadata import learn
from brain_tumor.resuming import State
from brain_tumor.rows import fingerprint, gather
from brain_tumor.training import TrainParams, train


class Recipe(NamedTuple):
    """What of a recipe training needs to know; `weights` is the folder of its backbone, `code` that of the project."""

    name: str
    dataset: str
    generated_data: bool
    classes: tuple[str, ...]
    enhance: EnhanceParams
    train: TrainParams
    weights: Path
    code: Path


class Fitted(NamedTuple):
    """A model with its description, and how it came about."""

    model: Classifier
    card: ModelCard
    state: State


def fit(
    recipe: Recipe,
    images: NDArray[np.uint8],
    training: pd.DataFrame,
    validation: pd.DataFrame,
    class_weights: Sequence[float],
    scratch: Path,
) -> Fitted | None:
    """Train on the training rows; select the epoch and calibrate on the validation rows.

    Args:
        images: (N, H, W) uint8 of all rows, memory-mapped: others are not touched.
        class_weights: inverse frequency of each class among the training rows.
        scratch: folder for the state of an interrupted run, keyed by parameters, data and code.

    Returns:
        None in all processes but the first of several that train together.

    Raises:
        UserError: as `train` does.
    """
    params, backbone = recipe.train, json.loads((recipe.weights / "backbone.json").read_text())
    # Not whether the file is there: one that is promised and missing must be an error, never random weights.
    weights = recipe.weights / "model.safetensors" if backbone["sha256"] else None
    metadata = learn(training, params.metadata)
    learned, held = (gather(images, rows, recipe.classes, metadata) for rows in (training, validation))
    card = ModelCard(
        recipe=recipe.name,
        dataset=recipe.dataset,
        generated_data=recipe.generated_data,
        classes=recipe.classes,
        architecture=backbone["architecture"],
        head=params.head,
        mean=tuple(backbone["mean"]),
        std=tuple(backbone["std"]),
        pretrained=backbone["source"],
        enhance=recipe.enhance,
        metadata=metadata,
        data=fingerprint(learned, held),
        code=provenance.code_fingerprints(recipe.code),
        versions={"torch": torch.__version__.split("+")[0], "timm": timm.__version__},
    )
    run = runtime.launch()
    torch.manual_seed(params.seed)  # for the new head, and for everything when training from scratch
    model = Classifier(card, weights)
    settings = f"{card.model_dump_json()} {params.model_dump_json()} {list(class_weights)}"
    key = hashlib.sha256(settings.encode()).hexdigest()[:16]
    state = train(model, learned, held, class_weights, params, run, scratch / f"{key}.pt")
    if run.rank:
        return None
    logits = predict_logits(model, held.images, run.device, held.metadata)
    return Fitted(model, card.model_copy(update={"calibration": calibrate(logits, held.targets, card.head)}), state)
