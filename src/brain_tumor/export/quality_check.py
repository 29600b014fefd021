"""Quality check of exported files: their probabilities are compared with those of the model."""

from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from brain_tumor.core.tables import class_indices
from brain_tumor.core.types import Floats, Gray
from brain_tumor.export.onnx_export import BATCH_SIZE
from brain_tumor.export.onnx_model import OnnxModel
from brain_tumor.metrics.bootstrap import BootstrapParams, PredictionSet, ResamplingUnits, bootstrap_metrics

MAX_F1_DROP = 0.005  # of macro F1, up to which a file passes


class ExportParams(BootstrapParams):
    """`recipes.<name>.export`.

    Attributes:
        num_calibration_images: number of training images that set the ranges of int8, sampled with `seed`.
        rounds: bootstrap rounds for the interval of the change of macro F1.
        seed: seed of the bootstrap and of the sampling.
    """

    num_calibration_images: int = Field(128, ge=1)


def predict_exported(model: OnnxModel, images: Gray) -> Floats:
    """Predict probabilities (N, K) of preprocessed images (N, S, S) in batches."""
    starts = range(0, len(images), BATCH_SIZE)
    return np.concatenate([model.predict_probabilities(images[k : k + BATCH_SIZE]) for k in starts])


def compare_exported(
    expected: Floats, probabilities: Floats, rows: pd.DataFrame, classes: tuple[str, ...], params: BootstrapParams
) -> dict[str, Any]:
    """Compare the probabilities (N, K) of an exported file with those of its model.

    Args:
        expected: (N, K) of the model.
        probabilities: (N, K) of the file.
        rows: `label` and `group` of each image.

    Returns:
        The largest difference, the fraction of equal predictions, the change of macro F1 with its 95 % interval, and
        whether the file passes the quality check.
    """
    truth = class_indices(rows["label"], classes)
    units = ResamplingUnits(truth, rows["group"].tolist(), rows["label"].tolist())
    mask = np.ones(len(rows), bool)
    file = PredictionSet("file", "validation", probabilities, mask)
    model = PredictionSet("model", "validation", expected, mask)
    table = bootstrap_metrics(units, [file, model], classes, params, [(0, 1)])
    f1_change = (table["reference"] == "model") & (table["metric"] == "macro_f1") & (table["class"] == "")
    change, low, high = (float(value) for value in table.loc[f1_change, ["value", "low", "high"]].to_numpy(float)[0])
    return {
        "max_difference": float(np.abs(expected - probabilities).max()),
        "agreement": float((expected.argmax(1) == probabilities.argmax(1)).mean()),
        "macro_f1_change": change,
        "interval": {"macro_f1_change": [low, high]},
        "passes_quality_check": change >= -MAX_F1_DROP,
    }
