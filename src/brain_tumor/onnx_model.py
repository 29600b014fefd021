"""A model that was exported to ONNX, as a device without torch uses it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np

# Before the runtime is imported: it would report its use to its maker, and write a number of this device to the disk.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ValidationError

from brain_tumor.enhance import EnhanceParams
from brain_tumor.errors import UserError
from brain_tumor.typicality import Typical

NOWHERE = "/dev/null/none"
KEY = "brain_tumor"  # of the description in the file's metadata


def _distinct(classes: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(classes)) < len(classes) or len(classes) < 2:
        raise ValueError("there must be two classes or more, and no two of one name")
    return classes


class Limits(BaseModel):
    """Of `model.json`'s calibration: by wanted coverage, the least probability of a class in the prediction set."""

    least: Mapping[str, float] = {}


class Description(BaseModel):
    """What of `model.json` a prediction needs; the export adds `typical`, and `fit`: false if a file is far worse."""

    recipe: str
    dataset: str
    generated_data: bool
    classes: Annotated[tuple[str, ...], AfterValidator(_distinct)]
    enhance: EnhanceParams
    calibration: Limits = Limits()
    typical: Typical | None = None
    fit: bool = True


class OnnxModel:
    """Enhanced gray pixels in, calibrated probabilities out."""

    def __init__(self, path: Path) -> None:
        """Open an exported file.

        Raises:
            UserError: no ONNX file, or one that this project has not written.
        """
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Weights are in the file itself: one that names others finds none, wherever it is opened.
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", NOWHERE)
        try:
            self.session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
            about = self.session.get_modelmeta().custom_metadata_map[KEY]
            self.description = Description.model_validate_json(about, strict=False)
        except FileNotFoundError:
            raise UserError(f"{path} is missing") from None
        except KeyError:
            raise UserError(f"{path} was not written by `export`: it does not say how images are prepared") from None
        except ValidationError as error:
            raise UserError(f"{path} describes itself in a way that does not fit: {error}") from None
        except Exception as error:  # the runtime has a class of its own for each way to be damaged
            raise UserError(f"{path} is no ONNX model that can be opened: {error}") from None

        side, known = self.description.enhance.size, len(self.description.classes)
        inputs = [(each.name, each.shape[1:]) for each in self.session.get_inputs()]
        outputs = [each.shape[1:] for each in self.session.get_outputs()]
        if inputs != [("images", [side, side])] or outputs != [[known]]:
            raise UserError(f"{path} takes {inputs} and gives {outputs}, which does not fit its own description")

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """(N, S, S) uint8 → (N, K)."""
        (found,) = self.session.run(None, {"images": np.ascontiguousarray(images)})
        return np.asarray(found, np.float64)


def read_description(folder: Path) -> Description:
    """Read `model.json`.

    Raises:
        UserError: it is missing or does not fit.
    """
    path = folder / "model.json"
    try:
        return Description.model_validate(json.loads(path.read_text(encoding="utf-8")), strict=False)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: {folder} is no trained model") from None
    except (ValidationError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is no valid model description: {error}") from None
