"""Export the model of a recipe to ONNX, in float32 and in int8, and compare both with it."""

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from brain_tumor import exporting, runtime, typicality
from brain_tumor.classifier import load
from brain_tumor.inference import predict_calibrated
from brain_tumor.intervals import Rounds, Sample, View, measure
from brain_tumor.onnx_model import OnnxModel
from brain_tumor.outputs import staged, write_json
from brain_tumor.params import read
from brain_tumor.rows import read_rows
from stage import PARAMS, run

log = logging.getLogger(__name__)
UNFIT = 0.005  # of macro F1, by which a file may be worse
FILES = {"float32": "model.onnx", "int8": "model-int8.onnx"}


class ExportParams(Rounds):
    """`recipes.<name>.export`.

    Attributes:
        calibrated_on: training images that give int8 its ranges, drawn with `seed`.
        rounds: of the bootstrap of the change of macro F1.
    """

    calibrated_on: int = Field(128, ge=1)


def main(name: str) -> None:
    """Write the ONNX files, and how far they agree with the model on validation images."""
    params = read(PARAMS, f"recipes.{name}.export", ExportParams)
    device = runtime.start()
    model, card = load(Path("models") / name, device)
    folder = Path(f"data/enhanced/{name}")
    rows = read_rows(folder, Path(f"data/split/{name}.csv"), "train", "validation")
    images = np.load(folder / "images.npy", mmap_mode="r")
    training, validation = (rows[rows["part"] == part].reset_index(drop=True) for part in ("train", "validation"))
    pixels = images[validation["row"].to_numpy()]
    chosen = np.sort(np.random.default_rng(params.seed).permutation(training["row"].to_numpy())[: params.calibrated_on])
    typical = typicality.learn(images[training["row"].to_numpy()], pixels)
    own = predict_calibrated(model, card, pixels, device)
    with staged(f"exports/{name}", f"metrics/{name}/export.json") as (out, metrics):
        out.mkdir()
        exporting.to_onnx(model.cpu(), card, typical, out / FILES["float32"])
        exporting.to_int8(out / FILES["float32"], images[chosen], out / FILES["int8"])
        shutil.copy(Path("models") / name / "model.json", out / "model.json")
        found: dict[str, Any] = {"validation_images": len(validation)}
        for kind, file in FILES.items():
            other = predicted(OnnxModel(out / file), pixels)
            found[kind] = {"bytes": (out / file).stat().st_size}
            found[kind] |= compare(own, other, validation, card.classes, params)
            if not found[kind]["fit"]:
                exporting.mark_unfit(out / file)
                log.warning("%s: %s is unfit: macro F1 changes by %.4f", name, kind, found[kind]["macro_f1_change"])
        write_json(metrics, found, digits=4)
    log.info("%s: int8 agrees in %.4f of %d images", name, found["int8"]["agreement"], len(validation))


def predicted(model: OnnxModel, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Probabilities (N, K) of images (N, S, S)."""
    batches = (images[k : k + exporting.BATCH] for k in range(0, len(images), exporting.BATCH))
    return np.concatenate([model.probabilities(batch) for batch in batches])


def compare(
    own: NDArray[np.float64],
    other: NDArray[np.float64],
    rows: pd.DataFrame,
    classes: tuple[str, ...],
    params: ExportParams,
) -> dict[str, Any]:
    """How far probabilities (N, K) of a file are from those of the model, and what that does to macro F1."""
    truth = np.array([classes.index(label) for label in rows["label"]], np.int64)
    sample = Sample(truth, rows["group"].tolist(), rows["label"].tolist())
    every = np.ones(len(rows), bool)
    views = [View("file", "validation", other, every), View("model", "validation", own, every)]
    table = measure(sample, views, classes, params, [(0, 1)])
    chosen = (table["model"] == "file − model") & (table["figure"] == "macro_f1") & (table["class"] == "")
    change, low, high = (float(value) for value in table.loc[chosen, ["value", "low", "high"]].to_numpy(float)[0])
    return {
        "max_difference": float(np.abs(own - other).max()),
        "agreement": float((own.argmax(1) == other.argmax(1)).mean()),
        "macro_f1_change": change,
        "interval": {"macro_f1_change": [low, high]},
        "fit": change >= -UNFIT,
    }


if __name__ == "__main__":
    run(main, "recipe")
