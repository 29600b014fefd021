"""Models exported to ONNX, used without torch."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from threading import Timer
from typing import Annotated

import numpy as np

# Before the runtime is imported: it would report its use to its maker, and write an id of this device to the disk.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime
from pydantic import AfterValidator, BaseModel, Field, ValidationError

from brain_tumor.core.errors import UserError
from brain_tumor.core.types import Floats, Gray
from brain_tumor.export.out_of_distribution import OodReference
from brain_tumor.preprocessing.operations import PreprocessParams

DISABLED_PATH = "/dev/null/none"  # a folder that cannot exist
METADATA_KEY = "brain_tumor"  # of the description in the file's metadata
MAX_CLASSES, MAX_NAME_LETTERS = 1000, 200
MAX_BATCH_SECONDS = 120.0  # for one call of the model
MAX_SUM_ERROR = 1e-3  # of the probabilities of an image
MAX_ERROR_LETTERS = 300


def _check_distinct(classes: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(classes)) < len(classes) or len(classes) < 2:
        raise ValueError("there must be two or more classes with distinct names")
    if len(classes) > MAX_CLASSES:
        raise ValueError(f"{len(classes)} classes, more than {MAX_CLASSES}")
    return classes


def _check_reference(reference: OodReference | None) -> OodReference | None:
    if reference is None:
        return None
    count = len(reference.mean)
    if [len(row) for row in reference.precision] != [count] * count:
        raise ValueError(f"precision is not a matrix of {count} × {count} numbers, as mean has {count}")
    if not all(math.isfinite(value) for row in (reference.mean, *reference.precision) for value in row):
        raise ValueError("mean and precision must be finite")
    if not reference.limit >= 0:
        raise ValueError("limit must be 0 or more")
    return reference


Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LETTERS)]
Probability = Annotated[float, Field(ge=0, le=1)]


class ConformalThresholds(BaseModel):
    """The part of `model.json`'s calibration that predictions need.

    Attributes:
        thresholds: lowest probability with which a class enters the prediction set, by target coverage.
    """

    thresholds: Mapping[str, Probability] = {}


class Description(BaseModel):
    """The part of `model.json` that predictions need, and two fields that the export adds.

    Attributes:
        generated_data: whether the model was trained on generated images.
        classes: class names in the order of the probabilities.
        ood_reference: reference of the out-of-distribution check; None in a model that was not exported.
        passes_quality_check: false if the exported file is much worse than its model on validation images.
    """

    recipe: Name
    dataset: Name
    generated_data: bool
    classes: Annotated[tuple[Name, ...], AfterValidator(_check_distinct)]
    preprocess: PreprocessParams
    calibration: ConformalThresholds = ConformalThresholds()
    ood_reference: Annotated[OodReference | None, AfterValidator(_check_reference)] = None
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
            raise UserError(f"{path} has invalid metadata: {_one_line(error)}") from None
        except Exception as error:  # the runtime has a different error class for each kind of damage
            raise UserError(f"{path} is not a readable ONNX model: {_one_line(error)}") from None

        self.path = path
        side, num_classes = self.description.preprocess.size, len(self.description.classes)
        inputs = [(node.name, node.shape[1:]) for node in self.session.get_inputs()]
        outputs = [node.shape[1:] for node in self.session.get_outputs()]
        if inputs != [("images", [side, side])] or outputs != [[num_classes]]:
            raise UserError(f"{path} has inputs {inputs} and outputs {outputs}, which do not match its metadata")

    def predict_probabilities(self, images: Gray) -> Floats:
        """Predict calibrated probabilities (N, K) of preprocessed images (N, S, S).

        Raises:
            UserError: the model fails, its output is not one row of probabilities per image, or it takes more than
                MAX_BATCH_SECONDS; it is then stopped after the operation that it is in.
        """
        options = onnxruntime.RunOptions()
        stop = Timer(MAX_BATCH_SECONDS, setattr, (options, "terminate", True))
        stop.daemon = True
        stop.start()
        try:
            (output,) = self.session.run(None, {"images": np.ascontiguousarray(images)}, options)
        except Exception as error:  # the runtime has a different error class for each kind of failure
            problem = f"it took more than {MAX_BATCH_SECONDS:g} s" if options.terminate else _one_line(error)
            raise UserError(f"{self.path} cannot predict {len(images)} images: {problem}") from None
        finally:
            stop.cancel()
        shape = (len(images), len(self.description.classes))
        probabilities = np.asarray(output)
        if probabilities.shape != shape or probabilities.dtype.kind != "f":
            found = f"{probabilities.dtype} {probabilities.shape}"
            raise UserError(f"{self.path} gives {found} instead of probabilities {shape}, a row per image")
        if problem := _find_problem(probabilities):
            raise UserError(f"{self.path} gives numbers that are not probabilities: {problem}")
        return np.asarray(probabilities, np.float64)


def _find_problem(probabilities: Floats) -> str:
    """Return why (N, K) numbers are not probabilities, '' if they are."""
    if not np.isfinite(probabilities).all():
        return "not finite"
    low, high = float(probabilities.min(initial=0)), float(probabilities.max(initial=0))
    if low < -MAX_SUM_ERROR or high > 1 + MAX_SUM_ERROR:
        return f"from {low:g} to {high:g}"
    sums = probabilities.sum(1, dtype=np.float64)
    worst = float(sums[np.abs(sums - 1).argmax()]) if len(sums) else 1.0
    return f"of one image, they have the sum {worst:g}" if abs(worst - 1) > MAX_SUM_ERROR else ""


def _one_line(error: Exception) -> str:
    """Return the first problem of an error in one line."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:MAX_ERROR_LETTERS]
    return (" ".join(str(error).split()) or type(error).__name__)[:MAX_ERROR_LETTERS]


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
    except (ValueError, RecursionError) as error:  # also bytes that are not UTF-8, and numbers of thousands of digits
        raise UserError(f"{path} is not a valid model description: {_one_line(error)}") from None
