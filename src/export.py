"""Export the model of a recipe to ONNX, in float32 and in int8, and compare both files with it."""

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs, write_json
from brain_tumor.core.params import read_params
from brain_tumor.export import onnx_export, out_of_distribution
from brain_tumor.export.onnx_model import OnnxModel
from brain_tumor.export.quality_check import ExportParams, compare_exported, predict_exported
from brain_tumor.models.classifier import load_model
from brain_tumor.models.predict import predict_probabilities
from brain_tumor.models.samples import read_split

log = logging.getLogger(__name__)
FILES = {"float32": "model.onnx", "int8": "model-int8.onnx"}


def main(name: str) -> None:
    """Write the ONNX files of a recipe, and their agreement with the model on validation images.

    Without validation images, it is measured on the training images that set the ranges of int8.
    """
    params = read_params(PARAMS, f"recipes.{name}.export", ExportParams)
    model, config, device = load_model(Path("models") / name)
    folder = Path(f"data/enhanced/{name}")
    rows = read_split(folder, Path(f"data/split/{name}.csv"), "train", "validation")
    images = np.load(folder / "images.npy", mmap_mode="r")
    training, validation = (rows[rows["part"] == part].reset_index(drop=True) for part in ("train", "validation"))
    shuffled = np.random.default_rng(params.seed).permutation(training["row"].to_numpy())
    calibration_rows = np.sort(shuffled[: params.num_calibration_images])
    compared = validation if len(validation) else training[training["row"].isin(calibration_rows)]
    compared_images = images[compared["row"].to_numpy()]
    reference = out_of_distribution.fit_reference(images[training["row"].to_numpy()], compared_images)
    expected = predict_probabilities(model, config, compared_images, device).calibrated
    with atomic_outputs(f"exports/{name}", f"metrics/{name}/export.json") as (out, metrics_path):
        out.mkdir()
        onnx_export.export_onnx(model.cpu(), config, reference, out / FILES["float32"])
        onnx_export.quantize_int8(out / FILES["float32"], images[calibration_rows], out / FILES["int8"])
        shutil.copy(Path("models") / name / "model.json", out / "model.json")
        metrics: dict[str, Any] = {"compared_part": compared["part"].iloc[0], "images": len(compared)}
        for kind, file in FILES.items():
            probabilities = predict_exported(OnnxModel(out / file), compared_images)
            metrics[kind] = {"bytes": (out / file).stat().st_size}
            metrics[kind] |= compare_exported(expected, probabilities, compared, config.classes, params)
            if not metrics[kind]["passes_quality_check"]:
                onnx_export.mark_failed_check(out / file)
                change = metrics[kind]["macro_f1_change"]
                log.warning("%s: %s failed the quality check: macro F1 changes by %.4f", name, kind, change)
        write_json(metrics_path, metrics, digits=4)
    log.info("%s: int8 agrees on %.2f %% of %d images", name, 100 * metrics["int8"]["agreement"], len(compared))


if __name__ == "__main__":
    run_stage(main, "recipe")
