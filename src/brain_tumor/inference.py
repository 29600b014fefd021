"""What a trained model says of enhanced images, in probabilities."""

import numpy as np
import torch
from numpy.typing import NDArray

from brain_tumor.calibration import to_probabilities
from brain_tumor.classifier import Classifier, ModelCard, predict_logits


def predict_calibrated(
    model: Classifier, card: ModelCard, images: NDArray[np.uint8], device: torch.device
) -> NDArray[np.float64]:
    """Calibrated probabilities (N, K) of images (N, S, S) alone, without what may be known beside them."""
    logits = predict_logits(model, torch.from_numpy(images), device).double()
    return np.asarray(to_probabilities(logits, card.head, card.calibration.temperature).numpy())
