"""Predict images, DICOM files and NIfTI volumes with a trained or exported model. Not for clinical use."""

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path

from brain_tumor.errors import UserError
from brain_tumor.onnx_model import Description
from brain_tumor.prediction import GENERATED, Prediction, find, open_model, predict, slices

EXPORTS = "exports"
SOME_FAILED, NOT_FINISHED, INTERRUPTED = 1, 2, 130


def main() -> int:
    """Print a line for each image; 0 if all went well, 1 if some files could not be read, 2 if it was not finished."""
    for stream in (sys.stdout, sys.stderr):  # file names may hold anything
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    given = arguments()
    try:
        draw = heat_maps(given) if given.heat_maps else None
        files = find(given.files)
        ask, about = open_model(place_of(given), given.runtime, given.int8)
        say_what_it_is(about)
        predictions = predict(files, ask, about, given.plane, given.slices)
        failed = write(with_bar(predictions, files), given.format, about)
        if draw:
            failed += draw(files)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return NOT_FINISHED
    except BrokenPipeError:  # `… | head`
        sys.stderr.close()
        return NOT_FINISHED
    except OSError as error:
        print(f"error: {error.filename or 'standard output'}: {error.strerror}", file=sys.stderr)
        return NOT_FINISHED
    except KeyboardInterrupt:
        return INTERRUPTED
    return SOME_FAILED if failed else 0


def place_of(given: argparse.Namespace) -> Path:
    """Where the model is: of a trained one that the ONNX runtime shall ask, the export that was made of it.

    Raises:
        UserError: that export is of another model.
    """
    trained: Path = given.model
    exported = trained.resolve().parent.parent / EXPORTS / trained.resolve().name
    if not (trained / "model.safetensors").exists() or given.runtime == "torch" or not exported.is_dir():
        return trained
    if given.runtime != "onnx" and not given.int8:
        return trained
    if (exported / "model.json").read_bytes() != (trained / "model.json").read_bytes():
        raise UserError(f"{exported} is of another model than {trained}: run `dvc repro` for the export")
    return exported


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
        print(GENERATED, file=sys.stderr)
    if not about.fit:
        print("This file is unfit: on validation images it is worse than its model. Take float32.", file=sys.stderr)
    if about.typical is None:
        print("Not checked: whether images are like those of training. An exported model knows.", file=sys.stderr)


def with_bar(predictions: Iterable[Prediction], files: Sequence[Path]) -> Iterator[Prediction]:
    """Show a progress bar on standard error where there is much to do."""
    if len(files) < 20:
        return iter(predictions)
    from tqdm import tqdm

    single = not any(file.name.lower().endswith((".nii", ".nii.gz", ".dcm")) for file in files)  # an image a file
    return iter(tqdm(predictions, "predicting", len(files) if single else None, unit="image"))


def write(predictions: Iterable[Prediction], how: str, about: Description) -> int:
    """Print predictions as they come; return how many files could not be read."""
    failed = 0
    table = csv.writer(sys.stdout, lineterminator="\n")
    if how == "csv":
        table.writerow(["file", "predicted", *(f"p_{label}" for label in about.classes), "likely", "warnings", "error"])
    for each in predictions:
        failed += bool(each.error)
        if how == "jsonl":
            print(json.dumps(each._asdict(), allow_nan=False))
        elif how == "csv":
            values = [each.probabilities.get(label, "") for label in about.classes]
            table.writerow(
                [each.file, each.predicted, *values, "; ".join(each.likely), "; ".join(each.warnings), each.error]
            )
        elif each.error:
            print(f"{shown_name(each.file)}: not read: {shown_name(each.error)}")
        else:
            shown = "  ".join(f"{label} {p:.1%}" for label, p in each.probabilities.items())
            print(f"{shown_name(each.file)}: {each.predicted}  [{shown}]")
            for warning in each.warnings:
                print(f"    ! {warning}")
    return failed


def shown_name(name: str) -> str:
    """A file's name without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in name)


def heat_maps(given: argparse.Namespace) -> Callable[[list[Path]], int]:
    """A function that writes each image under the heat map of its predicted class and counts those that failed.

    Raises:
        UserError: there can be none: found before anything else is done.
    """
    if not (given.model / "model.safetensors").exists():
        raise UserError(f"heat maps need torch and a model of models/: {given.model} has no model.safetensors")
    from typing import get_args

    import numpy as np
    import torch
    from PIL import Image
    from tqdm import tqdm

    from brain_tumor import runtime
    from brain_tumor.attribution import Method, explain
    from brain_tumor.classifier import load, predict_logits
    from brain_tumor.enhance import enhance
    from brain_tumor.explain import normalize
    from brain_tumor.sheets import overlay

    if given.method not in get_args(Method):
        raise UserError(f"--method {given.method} is unknown: {', '.join(get_args(Method))}")
    if given.heat_maps.exists() and not given.heat_maps.is_dir():
        raise UserError(f"--heat-maps {given.heat_maps} is a file, and must be a folder")

    def draw(files: list[Path]) -> int:
        device = runtime.start()
        model, card = load(given.model, device)
        given.heat_maps.mkdir(parents=True, exist_ok=True)
        failed = 0
        for number, file in enumerate(tqdm(files, "heat maps", unit="file", disable=len(files) < 20)):
            grays = [each.gray for each in slices(file, given.plane, given.slices) if each.gray is not None]
            try:
                images = np.stack([enhance(gray, card.enhance.operations).image for gray in grays])
            except (ValueError, OSError):  # the file has an error of its own, which was said
                continue
            pixels = torch.from_numpy(images)
            targets = model.scores(predict_logits(model, pixels, device)).argmax(1)
            try:
                heats = normalize(explain(given.method, model, pixels, targets, "fine", device).maps)
            except UserError as error:
                print(f"{shown_name(str(file))}: no heat map: {error}", file=sys.stderr)
                failed += 1
                continue
            for k, (image, heat) in enumerate(zip(images, heats, strict=True)):
                # Numbered: two files of different folders may have one name, and some names are very long.
                words = f"{number:05d}-{file.name.split('.')[0][:80]}-{k}-{card.classes[int(targets[k])]}"
                name = "".join(letter if letter.isalnum() or letter in " -_" else "_" for letter in words)
                Image.fromarray(overlay(image, heat)).save(given.heat_maps / f"{name}.png")
        return failed

    return draw


if __name__ == "__main__":
    sys.exit(main())
