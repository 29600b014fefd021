"""Folders of a small trained model and of its export."""

from pathlib import Path

import numpy as np
import torch

from brain_tumor.export import onnx_export, out_of_distribution
from brain_tumor.models.calibration import Calibration
from brain_tumor.models.classifier import Classifier, save_model
from brain_tumor.preprocessing.operations import preprocess
from heads import head
from nets import make_config


def write_model_folders(root: Path) -> tuple[Path, Path]:
    """Write `models/m` with an untrained network's weights and `exports-of/m` with its float32 ONNX file."""
    torch.manual_seed(0)
    trained, exported = root / "models/m", root / "exports-of/m"
    config = make_config().model_copy(update={"calibration": Calibration(temperature=1.3, thresholds={"0.9": 0.2})})
    model = Classifier(config).eval()
    for folder in (trained, exported):
        folder.mkdir(parents=True)
        save_model(folder, model, config)
    (exported / "model.safetensors").unlink()
    images = np.stack([preprocess(head(n), config.preprocess.operations).image for n in range(100)])
    reference = out_of_distribution.fit_reference(images[:60], images[60:])
    onnx_export.export_onnx(model, config, reference, exported / "model.onnx")
    return trained, exported
