"""Logits and calibrated probabilities of a trained model."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from brain_tumor.core.types import Floats, Gray
from brain_tumor.models.calibration import to_probabilities
from brain_tumor.models.classifier import Classifier, ModelConfig, to_unit
from brain_tumor.models.clinical_features import encode_columns


class Probabilities(NamedTuple):
    """Probabilities (N, K) before and after temperature scaling."""

    uncalibrated: Floats
    calibrated: Floats


@torch.inference_mode()
def predict_logits(
    model: Classifier, images: Tensor, device: torch.device, metadata: Tensor | None = None, batch_size: int = 64
) -> Tensor:
    """(N, H, W) uint8 and optionally (N, M) metadata → (N, logits) float32 on the CPU, in evaluation mode.

    Without metadata all of it counts as missing.
    """
    model.eval()
    if not len(images):
        return torch.empty(0, 1)
    features = metadata if metadata is not None else model.metadata.unknown.expand(len(images), -1)
    pairs = zip(images.split(batch_size), features.split(batch_size), strict=True)
    return torch.cat([model(to_unit(x, device), m.to(device)).float().cpu() for x, m in pairs])


def predict_probabilities(
    model: Classifier,
    config: ModelConfig,
    images: Gray,
    device: torch.device,
    rows: pd.DataFrame | None = None,
) -> Probabilities:
    """Predict preprocessed images (N, S, S); every stage's probabilities come from here.

    Args:
        rows: the images' rows, whose clinical columns the model takes; without them all count as missing.
    """
    metadata = None if rows is None else encode_columns(rows, config.metadata)
    logits = predict_logits(model, torch.from_numpy(np.asarray(images)), device, metadata).double()
    uncalibrated, calibrated = (
        to_probabilities(logits, config.head, temperature).numpy()
        for temperature in (1.0, config.calibration.temperature)
    )
    return Probabilities(uncalibrated, calibrated)
