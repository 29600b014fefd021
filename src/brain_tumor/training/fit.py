"""From a recipe and its rows to a finished model: trained, selected and calibrated."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import timm
import torch

from brain_tumor.core.types import Gray
from brain_tumor.models import runtime
from brain_tumor.models.calibration import calibrate
from brain_tumor.models.classifier import Classifier, ModelConfig
from brain_tumor.models.clinical_features import fit_columns
from brain_tumor.models.predict import predict_logits
from brain_tumor.models.samples import fingerprint_samples, load_samples
from brain_tumor.training.checkpoint import TrainState
from brain_tumor.training.provenance import fingerprint_code
from brain_tumor.training.recipe import TrainingConfig
from brain_tumor.training.trainer import train


class FitResult(NamedTuple):
    """A trained model, its configuration with the calibration, and the course of its training."""

    model: Classifier
    config: ModelConfig
    state: TrainState


def fit(
    recipe: TrainingConfig,
    images: Gray,
    training: pd.DataFrame,
    validation: pd.DataFrame,
    class_weights: Sequence[float],
    scratch: Path,
) -> FitResult | None:
    """Train on the training rows; select the epoch and calibrate on the validation rows.

    Args:
        images: (N, H, W) of all rows, memory-mapped: the images of other rows are not read.
        class_weights: inverse frequency of each class among the training rows.
        scratch: folder for the checkpoint of an interrupted run, whose name is a hash of parameters, data and code.

    Returns:
        The result; None in all processes but the first of several that train together.

    Raises:
        UserError: see `train`.
    """
    params, backbone = recipe.train, json.loads((recipe.weights / "backbone.json").read_text())
    # Not whether the file exists: declared weights that are missing must be an error, never random weights.
    weights = recipe.weights / "model.safetensors" if backbone["sha256"] else None
    metadata = fit_columns(training, params.metadata)
    train_set, val_set = (load_samples(images, rows, recipe.classes, metadata) for rows in (training, validation))
    config = ModelConfig(
        recipe=recipe.name,
        dataset=recipe.dataset,
        generated_data=recipe.generated_data,
        classes=recipe.classes,
        architecture=backbone["architecture"],
        head=params.head,
        mean=tuple(backbone["mean"]),
        std=tuple(backbone["std"]),
        pretrained=backbone["source"],
        preprocess=recipe.preprocess,
        metadata=metadata,
        data=fingerprint_samples(train_set, val_set),
        code=fingerprint_code(),
        versions={"torch": torch.__version__.split("+")[0], "timm": timm.__version__},
    )
    fabric = runtime.launch_fabric()
    torch.manual_seed(params.seed)  # for the new head, or all weights when training from scratch
    model = Classifier(config, weights)
    settings = f"{config.model_dump_json()} {params.model_dump_json()} {list(class_weights)}"
    key = hashlib.sha256(settings.encode()).hexdigest()[:16]
    state = train(model, train_set, val_set, class_weights, params, fabric, scratch / f"{key}.pt")
    if fabric.global_rank:
        return None
    logits = predict_logits(model, val_set.images, fabric.device, val_set.metadata)
    calibration = calibrate(logits, val_set.targets, config.head)
    return FitResult(model, config.model_copy(update={"calibration": calibration}), state)
