"""Models exported to ONNX, used without torch."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np

# Before the runtime is imported: it would report its use to its maker, and write an id of this device to the disk.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime
from pydantic import AfterValidator, BaseModel, ValidationError

from brain_tumor.core.errors import UserError
from brain_tumor.core.types import Floats, Gray
from brain_tumor.export.out_of_distribution import OodReference
from brain_tumor.preprocessing.operations import PreprocessParams

DISABLED_PATH = "/dev/null/none"  # a folder that cannot exist
METADATA_KEY = "brain_tumor"  # of the description in the file's metadata


def _check_distinct(classes: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(classes)) < len(classes) or len(classes) < 2:
        raise ValueError("there must be two or more classes with distinct names")
    return classes


class ConformalThresholds(BaseModel):
    """The part of `model.json`'s calibration that predictions need.

    Attributes:
        thresholds: lowest probability with which a class enters the prediction set, by target coverage.
    """

    thresholds: Mapping[str, float] = {}


class Description(BaseModel):
    """The part of `model.json` that predictions need, and two fields that the export adds.

    Attributes:
        generated_data: whether the model was trained on generated images.
        classes: class names in the order of the probabilities.
        ood_reference: reference of the out-of-distribution check; None in a model that was not exported.
        passes_quality_check: false if the exported file is much worse than its model on validation images.
    """

    recipe: str
    dataset: str
    generated_data: bool
    classes: Annotated[tuple[str, ...], AfterValidator(_check_distinct)]
    preprocess: PreprocessParams
    calibration: ConformalThresholds = ConformalThresholds()
    ood_reference: OodReference | None = None
    passes_quality_check: bool = True


class OnnxModel:
    """An exported model: preprocessed gray images → calibrated probabilities.

    Attributes:
        description: description in the file's metadata.
    """

    def __init__(self, path: Path) -> None:
        """Open an exported file.

        Raises:
            UserError: not an ONNX file, or not one that this project has written.
        """
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Weights are stored in the file itself: references to external files lead nowhere, wherever it is opened.
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", DISABLED_PATH)
        # Without it, int8 products saturate on CPUs without VNNI instructions, and predictions are wrong there.
        options.add_session_config_entry("session.x64quantprecision", "1")
        try:
            self.session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
            metadata = self.session.get_modelmeta().custom_metadata_map[METADATA_KEY]
            self.description = Description.model_validate_json(metadata, strict=False)
        except FileNotFoundError:
            raise UserError(f"{path} is missing") from None
        except KeyError:
            raise UserError(f"{path} was not written by `export`: it has no metadata of this project") from None
        except ValidationError as error:
            raise UserError(f"{path} has invalid metadata: {error}") from None
        except Exception as error:  # the runtime has a different error class for each kind of damage
            raise UserError(f"{path} is not a readable ONNX model: {error}") from None

        side, num_classes = self.description.preprocess.size, len(self.description.classes)
        inputs = [(node.name, node.shape[1:]) for node in self.session.get_inputs()]
        outputs = [node.shape[1:] for node in self.session.get_outputs()]
        if inputs != [("images", [side, side])] or outputs != [[num_classes]]:
            raise UserError(f"{path} has inputs {inputs} and outputs {outputs}, which do not match its metadata")

    def predict_probabilities(self, images: Gray) -> Floats:
        """Predict calibrated probabilities (N, K) of preprocessed images (N, S, S)."""
        (probabilities,) = self.session.run(None, {"images": np.ascontiguousarray(images)})
        return np.asarray(probabilities, np.float64)


def read_description(folder: Path) -> Description:
    """Read the `model.json` of a trained or exported model.

    Raises:
        UserError: it is missing or invalid.
    """
    path = folder / "model.json"
    try:
        return Description.model_validate(json.loads(path.read_text(encoding="utf-8")), strict=False)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: {folder} is not a trained model") from None
    except (ValidationError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is not a valid model description: {error}") from None
