"""Predict images, DICOM files and NIfTI volumes with a trained or exported model. Not for clinical use."""

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

from brain_tumor.commands.main import INTERRUPTED
from brain_tumor.core.errors import UserError
from brain_tumor.export.onnx_model import Description
from brain_tumor.imaging.formats import may_hold_several_images
from brain_tumor.inference.files import find_files
from brain_tumor.inference.predictor import (
    GENERATED,
    Prediction,
    Predictor,
    PreparedImage,
    find_export,
    open_model,
    predict_files,
)

if TYPE_CHECKING:
    from brain_tumor.commands.heat_maps import HeatMapWriter

METHODS = (
    "grad-cam, grad-cam++, layer-cam, hires-cam, integrated-gradients, occlusion; "
    "attention-rollout and attention-relevance for ViTs"
)
EPILOG = """\
formats of the output:
  table  a line per image for people, with its reasons and warnings below
  csv    columns file, predicted, p_<class> …, prediction_set, accepted (yes or no), reasons, warnings, error
  jsonl  the same as one JSON object per line; accepted is true or false
An image is not accepted if it does not look like a slice of a head or is unlike the training images.

examples, with the model of the quickstart (`make repro`):
  brain-tumor predict models/quickstart scan.jpg
  brain-tumor predict models/quickstart folder/ volume.nii.gz --plane coronal --format csv > predictions.csv
  brain-tumor predict exports/quickstart scan.jpg --int8
  brain-tumor predict models/quickstart scan.jpg --heat-maps maps --method grad-cam++

exit code: 0 if all files were read, 1 if some could not be read, 2 if the run did not finish
"""
SOME_FAILED, NOT_FINISHED = 1, 2  # exit codes
MIN_FILES_FOR_PROGRESS = 20


def main(argv: Sequence[str] | None = None) -> int:
    """Print a prediction for each image.

    Returns:
        0 if all files were predicted, 1 if some had an error, 2 if the run did not finish, 130 if it was interrupted.
    """
    for stream in (sys.stdout, sys.stderr):  # file names may contain any bytes
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    args = parse_arguments(argv)
    try:
        if args.heat_maps:
            check_heat_map_arguments(args)
        files, skipped = find_files(args.files)
        print_skipped(skipped)
        predictor = open_model(resolve_model_path(args), args.runtime, args.int8)
        heat_maps = open_heat_maps(args, predictor) if args.heat_maps else None
        print_disclaimer(predictor.description)
        results = show_progress(predict_files(files, predictor, args.plane, args.slices), files)
        failures = print_results(results, choose_printer(args.format, predictor.description), heat_maps)
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
    return SOME_FAILED if failures else 0


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="brain-tumor predict",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, help="a folder of models/ or exports/, or an .onnx file of `export`")
    parser.add_argument("files", type=Path, nargs="+", help="images, DICOM files, NIfTI volumes, or folders of them")
    parser.add_argument("--runtime", choices=("torch", "onnx"), help="default: that of the files in the model folder")
    parser.add_argument("--int8", action="store_true", help="use the quantized file of an export")
    parser.add_argument("--format", choices=("table", "csv", "jsonl"), default="table", help="see below")
    planes = ("axial", "coronal", "sagittal")
    parser.add_argument("--plane", choices=planes, default="axial", help="of the slices of volumes (default: axial)")
    parser.add_argument("--slices", type=int, default=5, help="number of slices per volume (default: %(default)s)")
    parser.add_argument("--heat-maps", type=Path, metavar="FOLDER", help="write heat maps there (PNG; needs torch)")
    parser.add_argument("--method", default="grad-cam", help=f"of the heat maps: {METHODS} (default: %(default)s)")
    args = parser.parse_args(argv)
    if args.slices < 1:
        parser.error("--slices must be 1 or more")
    return args


def resolve_model_path(args: argparse.Namespace) -> Path:
    """Return the model to open: the export of a trained model if the ONNX runtime is wanted, otherwise `args.model`.

    Raises:
        UserError: the export was made from another model.
    """
    path: Path = args.model
    wants_export = args.runtime == "onnx" or (args.int8 and args.runtime != "torch")
    if not wants_export or not (path / "model.safetensors").exists():
        return path
    return find_export(path) or path


def check_heat_map_arguments(args: argparse.Namespace) -> None:
    """Check the arguments of --heat-maps before any file is read.

    Raises:
        UserError: the model has no torch weights, torch is not installed, or an argument is invalid.
    """
    if not (args.model / "model.safetensors").exists():
        raise UserError(f"heat maps need torch and a model of models/: {args.model} has no model.safetensors")
    try:
        from brain_tumor.inference.heat_maps import find_method
    except ImportError as error:
        raise UserError(f"heat maps need torch: {error.name} is not installed") from None
    find_method(args.method)
    if args.heat_maps.exists() and not args.heat_maps.is_dir():
        raise UserError(f"--heat-maps {args.heat_maps} is a file, and must be a folder")


def open_heat_maps(args: argparse.Namespace, predictor: Predictor) -> "HeatMapWriter":
    """Open the folder of heat maps; the torch model is loaded if the predictor does not have it."""
    from brain_tumor.commands.heat_maps import HeatMapWriter
    from brain_tumor.inference.heat_maps import find_method
    from brain_tumor.inference.torch_model import load_torch_model

    model = predictor.torch_model or load_torch_model(args.model)
    return HeatMapWriter(args.heat_maps, find_method(args.method), model)


def print_disclaimer(description: Description) -> None:
    """Print to standard error the limits of the predictions."""
    print("Not for clinical use: research software, its output is not a diagnosis.", file=sys.stderr)
    if description.generated_data:
        print(GENERATED, file=sys.stderr)
    if not description.passes_quality_check:
        print("This file failed the export's quality check: use the float32 file instead.", file=sys.stderr)
    if description.ood_reference is None:
        print(
            "Images unlike the training images are not rejected: the reference of this check is in the export, which "
            f"is missing or of another model: run `dvc repro stages/dvc.yaml:export@{description.recipe}`",
            file=sys.stderr,
        )


def print_skipped(skipped: Sequence[tuple[Path, str]]) -> None:
    """Print to standard error which files of the folders are skipped, and why."""
    if skipped:
        print("1 file is skipped:" if len(skipped) == 1 else f"{len(skipped)} files are skipped:", file=sys.stderr)
    for path, reason in skipped:
        print(f"    {escape_filename(str(path))}: {reason}", file=sys.stderr)


Result = tuple[PreparedImage, Prediction]


def show_progress(results: Iterable[Result], files: Sequence[Path]) -> Iterator[Result]:
    """Show a progress bar on standard error if there are many files."""
    if len(files) < MIN_FILES_FOR_PROGRESS:
        return iter(results)
    from tqdm import tqdm

    several = any(may_hold_several_images(file.name) for file in files)
    return iter(tqdm(results, "predicting", None if several else len(files), unit="image"))


def print_results(
    results: Iterable[Result], print_prediction: Callable[[Prediction], None], heat_maps: "HeatMapWriter | None"
) -> int:
    """Print predictions as they come, and write their heat maps; return the number of failures."""
    failures = 0
    for item, prediction in results:
        print_prediction(prediction)
        failures += bool(prediction.error)
        if heat_maps is None:
            continue
        if prediction.reasons:
            print(f"{escape_filename(item.file)}: no heat map: {prediction.reasons[0]}", file=sys.stderr)
        try:
            heat_maps.write(item, prediction)
        except UserError as error:
            print(f"{escape_filename(item.file)}: no heat map: {error}", file=sys.stderr)
            failures += 1
    return failures


def choose_printer(output_format: str, description: Description) -> Callable[[Prediction], None]:
    """Return the function that prints a prediction as `table`, `csv` or `jsonl`; the header of a CSV is printed."""
    if output_format == "jsonl":
        return print_json
    if output_format == "table":
        return print_text
    writer, classes = csv.writer(sys.stdout, lineterminator="\n"), description.classes
    last = ("prediction_set", "accepted", "reasons", "warnings", "error")
    writer.writerow(["file", "predicted", *(f"p_{label}" for label in classes), *last])

    def print_csv(prediction: Prediction) -> None:
        probabilities = [prediction.probabilities.get(label, "") for label in classes]
        accepted = "yes" if prediction.accepted else "no"
        reasons, warnings = "; ".join(prediction.reasons), "; ".join(prediction.warnings)
        values = ["; ".join(prediction.prediction_set), accepted, reasons, warnings, prediction.error]
        writer.writerow([prediction.file, prediction.predicted, *probabilities, *values])

    return print_csv


def print_json(prediction: Prediction) -> None:
    """Print a prediction as one line of JSON."""
    print(json.dumps(prediction._asdict(), allow_nan=False))


def print_text(prediction: Prediction) -> None:
    """Print a prediction for people, with a line for each warning; a rejected image has no answer."""
    name = escape_filename(prediction.file)
    if prediction.error:
        print(f"{name}: not read: {escape_filename(prediction.error)}")
        return
    if prediction.accepted:
        probabilities = "  ".join(f"{label} {p:.1%}" for label, p in prediction.probabilities.items())
        print(f"{name}: {prediction.predicted}  [{probabilities}]")
    else:
        print(f"{name}: no answer: {'; '.join(prediction.reasons)}")
    for warning in prediction.warnings:
        print(f"    ! {warning}")


def escape_filename(name: str) -> str:
    """Escape the characters that a terminal would interpret."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in name)
