"""Predict images, DICOM files and NIfTI volumes with a trained or exported model. Not for clinical use."""

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from brain_tumor.errors import UserError
from brain_tumor.onnx_model import Description
from brain_tumor.prediction import Prediction, find, open_model, predict, slices

EXPORTS = Path("exports")
SOME_FAILED, NOTHING_DONE = 1, 2


def main() -> int:
    """Print a line for each image; 0 if all went well, 1 if some files could not be read, 2 if nothing was done."""
    given = arguments()
    try:
        files = find(given.files)
        exported = EXPORTS / given.model.name
        # A trained model may be asked through its export.
        elsewhere = given.runtime == "onnx" and (given.model / "model.safetensors").exists() and exported.exists()
        ask, about = open_model(exported if elsewhere else given.model, given.runtime, given.int8)
        say_what_it_is(about)
        predictions = predict(files, ask, about, given.plane, given.slices)
        failed = write(with_bar(predictions, len(files)), given.format, about)
        if given.heat_maps:
            heat_maps(given.model, files, given.heat_maps, given.method, given.plane, given.slices)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return NOTHING_DONE
    except BrokenPipeError:  # `… | head`
        sys.stderr.close()
        return NOTHING_DONE
    return SOME_FAILED if failed else 0


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a folder of models/ or exports/, or an .onnx file of `export`")
    parser.add_argument("files", type=Path, nargs="+", help="images, DICOM files, NIfTI volumes, or folders of them")
    parser.add_argument("--runtime", choices=("torch", "onnx"), help="default: what the model folder holds")
    parser.add_argument("--int8", action="store_true", help="the quantized file of an export")
    parser.add_argument("--format", choices=("table", "csv", "jsonl"), default="table")
    parser.add_argument("--plane", choices=("axial", "coronal", "sagittal"), default="axial", help="of volumes")
    parser.add_argument("--slices", type=int, default=5, help="taken of each volume (default: %(default)s)")
    parser.add_argument("--heat-maps", type=Path, metavar="FOLDER", help="write heat maps there (needs torch)")
    parser.add_argument("--method", default="grad-cam", help="of the heat maps (default: %(default)s)")
    given = parser.parse_args()
    if given.slices < 1:
        parser.error("--slices must be 1 or more")
    return given


def say_what_it_is(about: Description) -> None:
    """Say on standard error what these predictions are not."""
    print("Not for clinical use: research software, its output is no diagnosis.", file=sys.stderr)
    if about.generated_data:
        print("This model was trained on generated images: it knows no patient.", file=sys.stderr)


def with_bar(predictions: Iterable[Prediction], total: int) -> Iterator[Prediction]:
    """Show a progress bar on standard error where there is much to do."""
    from tqdm import tqdm

    return iter(tqdm(predictions, "predicting", total if total > 1 else None, unit="image", disable=total < 20 or None))


def write(predictions: Iterable[Prediction], how: str, about: Description) -> int:
    """Print predictions as they come; return how many files could not be read."""
    failed = 0
    table = csv.writer(sys.stdout, lineterminator="\n")
    if how == "csv":
        table.writerow(["file", "predicted", *(f"p_{label}" for label in about.classes), "likely", "warnings", "error"])
    for each in predictions:
        failed += bool(each.error)
        if how == "jsonl":
            print(json.dumps(each._asdict(), ensure_ascii=False))
        elif how == "csv":
            values = [each.probabilities.get(label, "") for label in about.classes]
            table.writerow(
                [each.file, each.predicted, *values, " ".join(each.likely), "; ".join(each.warnings), each.error]
            )
        elif each.error:
            print(f"{each.file}: not read: {each.error}")
        else:
            shown = "  ".join(f"{label} {p:.1%}" for label, p in each.probabilities.items())
            print(f"{each.file}: {each.predicted}  [{shown}]")
            for warning in each.warnings:
                print(f"    ! {warning}")
    return failed


def heat_maps(place: Path, files: list[Path], out: Path, method: Any, plane: str, count: int) -> None:
    """Write each image under the heat map of its predicted class, as a PNG file."""
    if not (place / "model.safetensors").exists():
        raise UserError(f"heat maps need torch and a model of models/: {place} has no model.safetensors")
    from typing import get_args

    import numpy as np
    import torch
    from PIL import Image

    from brain_tumor import runtime
    from brain_tumor.attribution import Method, explain
    from brain_tumor.classifier import load, predict_logits
    from brain_tumor.enhance import enhance
    from brain_tumor.explain import normalize
    from brain_tumor.sheets import overlay

    if method not in get_args(Method):
        raise UserError(f"--method {method} is unknown: {', '.join(get_args(Method))}")
    device = runtime.start()
    model, card = load(place, device)
    out.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate(files):
        grays = [each.gray for each in slices(file, plane, count) if each.gray is not None]
        if not grays:
            continue
        images = np.stack([enhance(gray, card.enhance.operations).image for gray in grays])
        pixels = torch.from_numpy(images)
        targets = model.scores(predict_logits(model, pixels, device)).argmax(1)
        heats = normalize(explain(method, model, pixels, targets, "fine", device).maps)
        for k, (image, heat) in enumerate(zip(images, heats, strict=True)):
            # Numbered: two files of different folders may have one name.
            name = f"{number:05d}-{file.name.split('.')[0]}-{k}-{card.classes[int(targets[k])]}.png"
            Image.fromarray(overlay(image, heat)).save(out / name)


if __name__ == "__main__":
    sys.exit(main())
