"""A trained model that is used with torch."""

from pathlib import Path
from typing import NamedTuple

import torch

from brain_tumor.core.types import Floats, Gray
from brain_tumor.export.onnx_model import Description, read_description
from brain_tumor.models.classifier import Classifier, ModelConfig, load_model
from brain_tumor.models.predict import predict_probabilities


class TorchModel(NamedTuple):
    """A trained model on its device, with its configuration and the description that predictions need."""

    classifier: Classifier
    config: ModelConfig
    description: Description
    device: torch.device

    def predict_probabilities(self, images: Gray) -> Floats:
        """Predict calibrated probabilities (N, K) of preprocessed images (N, S, S)."""
        return predict_probabilities(self.classifier, self.config, images, self.device).calibrated


def load_torch_model(folder: Path) -> TorchModel:
    """Load a trained model onto the device that the environment selects.

    Raises:
        UserError: files are missing, corrupted or do not fit each other.
    """
    description = read_description(folder)
    classifier, config, device = load_model(folder)
    return TorchModel(classifier, config, description, device)
