"""A trained model that is used with torch."""

from pathlib import Path
from typing import NamedTuple

import torch

from brain_tumor.core.errors import UserError
from brain_tumor.core.types import Floats, Gray
from brain_tumor.export.onnx_model import Description, OnnxModel, read_description
from brain_tumor.export.out_of_distribution import OodReference
from brain_tumor.inference.predictor import find_export
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
    """Load a trained model onto the device that the environment selects, with the checks of its export.

    Raises:
        UserError: files are missing, corrupted or do not fit each other.
    """
    description = read_description(folder).model_copy(update={"ood_reference": read_ood_reference(folder)})
    classifier, config, device = load_model(folder)
    return TorchModel(classifier, config, description, device)


def read_ood_reference(folder: Path) -> OodReference | None:
    """Read the reference of the out-of-distribution check from the export that lies beside a trained model.

    None if there is no such export, or if it is damaged or of another model.
    """
    try:
        export = find_export(folder)
        return None if export is None else OnnxModel(export / "model.onnx").description.ood_reference
    except UserError:
        return None
