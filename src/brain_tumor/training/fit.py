"""From a recipe and its rows to a finished model: trained, selected and calibrated."""

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import timm
import torch

from brain_tumor.core.types import Gray
from brain_tumor.models import runtime
from brain_tumor.models.calibration import LabeledLogits, calibrate
from brain_tumor.models.classifier import Classifier, ModelConfig
from brain_tumor.models.clinical_features import fit_columns
from brain_tumor.models.numerics import describe_numerics
from brain_tumor.models.predict import predict_logits
from brain_tumor.models.samples import fingerprint_samples, load_samples
from brain_tumor.training.checkpoint import TrainState
from brain_tumor.training.provenance import fingerprint_code
from brain_tumor.training.recipe import TrainingConfig
from brain_tumor.training.trainer import train

log = logging.getLogger(__name__)


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
    conformal: pd.DataFrame,
    class_weights: Sequence[float],
    scratch: Path,
) -> FitResult | None:
    """Train on the training rows; select the epoch and calibrate on the validation rows.

    Args:
        images: (N, H, W) of all rows, memory-mapped: the images of other rows are not read.
        conformal: rows that set the thresholds of the prediction sets; may be empty, as the validation rows may.
        class_weights: inverse frequency of each class among the training rows.
        scratch: folder for the checkpoint of an interrupted run, see `checkpoint_path`.

    Returns:
        The result; None in all processes but the first of several that train together.

    Raises:
        UserError: see `train`.
    """
    fabric = runtime.launch_fabric(recipe.train.numerics)  # before any computation
    params, backbone = recipe.train, json.loads((recipe.weights / "backbone.json").read_text())
    # Not whether the file exists: declared weights that are missing must be an error, never random weights.
    weights = recipe.weights / "model.safetensors" if backbone["sha256"] else None
    metadata = fit_columns(training, params.metadata)
    train_set, val_set, conformal_set = (
        load_samples(images, rows, recipe.classes, metadata) for rows in (training, validation, conformal)
    )
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
        numerics=params.numerics,
        data=fingerprint_samples(train_set, val_set, conformal_set),
        code=fingerprint_code(),
        versions={"torch": torch.__version__.split("+")[0], "timm": timm.__version__},
    )
    torch.manual_seed(params.seed)  # for the new head, or all weights when training from scratch
    model = Classifier(config, weights, backbone.get("init", "timm"), params.regularization())
    init = backbone.get("init", "timm")
    settings = f"{config.model_dump_json()} {init} {params.model_dump_json()} {list(class_weights)}"
    share = runtime.micro_batch_size(-(-params.batch_size // fabric.world_size))
    numerics = f"{describe_numerics(params.numerics, fabric.device)}, {fabric.world_size} processes, {share} images"
    checkpoint = checkpoint_path(scratch, settings, numerics)
    state = train(model, train_set, val_set, class_weights, params, fabric, checkpoint)
    if fabric.global_rank:
        return None
    held_out = [
        LabeledLogits(predict_logits(model, samples.images, fabric.device, samples.metadata), samples.targets)
        for samples in (val_set, conformal_set)
    ]
    calibration = calibrate(held_out[0], held_out[1], config.head)
    return FitResult(model, config.model_copy(update={"calibration": calibration}), state)


def checkpoint_path(scratch: Path, settings: str, numerics: str) -> Path:
    """Return the path of a training's checkpoint: from everything that decides the bytes of its weights.

    A checkpoint of the same training with other numerics is not resumed, since the result would be a mixture; a warning
    names it.

    Args:
        settings: parameters, data and code.
        numerics: device, instructions, threads, processes and images per forward pass.
    """
    name, suffix = (hashlib.sha256(text.encode()).hexdigest()[:16] for text in (settings, numerics))
    path = scratch / f"{name}-{suffix}.pt"
    for other in sorted(scratch.glob(f"{name}-*.pt")):
        if other != path and not path.exists():
            reason = "another device, or other instructions, threads, processes or images per forward pass"
            log.warning("%s is not resumed: it was computed with %s", other, reason)
    return path
