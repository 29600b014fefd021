"""From files to predictions with warnings: images, DICOM files and NIfTI volumes; an error in one never stops the rest.

Torch is not imported here, and pandas only when a DICOM file or a volume is read: predictions by the ONNX runtime
start quickly, and need neither.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from brain_tumor.core.errors import UserError
from brain_tumor.core.types import Floats, Gray
from brain_tumor.export import out_of_distribution
from brain_tumor.export.onnx_model import Description, OnnxModel, read_description
from brain_tumor.imaging.head import head_quality_warning, locate_head
from brain_tumor.inference.files import GrayImage, read_images
from brain_tumor.preprocessing.operations import preprocess

if TYPE_CHECKING:
    from brain_tumor.inference.torch_model import TorchModel

PredictFn = Callable[[Gray], Floats]  # preprocessed images (N, S, S) → calibrated probabilities (N, K)
T = TypeVar("T")
GENERATED = "This model was trained on generated (synthetic) images only."
EXPORTS = "exports"  # folder of the exported models, beside that of the trained ones
COVERAGE = "0.9"  # target coverage of the prediction sets
BATCH_SIZE = 16  # files that are read together, and images that are predicted together
NOT_A_HEAD = "this does not look like a head slice"
UNLIKE_TRAINING = "this is unlike the images that the model was trained on"
MIN_CONFIDENCE = 0.5  # probability below which a prediction is uncertain in any case


class Prediction(NamedTuple):
    """The prediction for one image.

    Attributes:
        file: the file, and of a volume or a DICOM file with several frames the slice or frame.
        predicted: the most probable class, '' if there is an error.
        probabilities: calibrated, by class.
        prediction_set: the most probable class, and the others of the conformal prediction set, which contains the
            true class for 90 of 100 images like those of the conformal part; () if the model has no thresholds.
        accepted: whether the image is one that the model can judge: it was read, and there is no reason to reject it.
        reasons: why the image is rejected: it is not a slice of a head, or unlike the training images. Class and
            probabilities are then no answer.
        warnings: reasons to distrust the prediction of an accepted image as well, such as low certainty.
        error: why there is no prediction, '' otherwise.
    """

    file: str
    predicted: str = ""
    probabilities: Mapping[str, float] = {}
    prediction_set: tuple[str, ...] = ()
    accepted: bool = False
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str = ""


class PreparedImage(NamedTuple):
    """An image ready for the model.

    Attributes:
        file: its name in the prediction.
        path: path of the file that it was read from.
        file_index: position of that file among all files.
        position: position of the image in its file.
        image: (S, S) preprocessed; None if there is an error.
        quality_warning: why it does not look like a slice of a head, '' if it does.
        file_warnings: reasons to distrust the image, from the header of its file.
        error: why there is no image, '' otherwise.
    """

    file: str
    path: Path
    file_index: int
    position: int
    image: Gray | None = None
    quality_warning: str = ""
    file_warnings: tuple[str, ...] = ()
    error: str = ""


class Predictor(NamedTuple):
    """A model that is ready to predict.

    Attributes:
        predict_fn: preprocessed images (N, S, S) → calibrated probabilities (N, K).
        torch_model: the loaded model; None with the ONNX runtime.
    """

    predict_fn: PredictFn
    description: Description
    torch_model: "TorchModel | None" = None


def find_export(folder: Path) -> Path | None:
    """Return the export that lies beside a trained model, `exports/<name>` for `models/<name>`; None without one.

    Raises:
        UserError: the export was made from another model.
    """
    folder = folder.resolve()
    export = folder.parent.parent / EXPORTS / folder.name
    files = [place / "model.json" for place in (folder, export)]
    if not all(file.exists() for file in files):
        return None
    if files[0].read_bytes() != files[1].read_bytes():
        command = f"dvc repro stages/dvc.yaml:export@{folder.name}"
        raise UserError(f"{export} is not an export of {folder}: run `{command}`")
    return export


def open_model(path: Path, runtime: str | None = None, int8: bool = False) -> Predictor:
    """Open a trained or exported model.

    Args:
        path: a folder of a trained or exported model, or an exported file.
        runtime: `torch` or `onnx`; by default `onnx` if there is an exported file, `torch` otherwise.
        int8: use the quantized file.

    Raises:
        UserError: there is no such model, or none for this runtime.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist: train it with `dvc repro`, or download it with `dvc pull`")
    file = path if path.is_file() else path / ("model-int8.onnx" if int8 else "model.onnx")
    if int8 and (path.is_file() or runtime == "torch"):
        raise UserError("--int8 needs the folder of an exported model and the ONNX runtime")
    if file.exists() and runtime != "torch":
        model = OnnxModel(file)
        return Predictor(model.predict_probabilities, model.description)
    if runtime == "onnx" or int8:
        raise UserError(f"{file} is missing: make it with `dvc repro stages/dvc.yaml:export@{path.resolve().name}`")
    if not path.is_dir():
        raise UserError(f"{path} is not a folder of a trained model")
    read_description(path)  # fails for other folders, before torch is imported, which takes seconds
    try:
        from brain_tumor.inference.torch_model import load_torch_model
    except ImportError as error:
        raise UserError(f"{error.name} is not installed: only exported models work without torch and timm") from None
    torch_model = load_torch_model(path)
    return Predictor(torch_model.predict_probabilities, torch_model.description, torch_model)


def predict_files(
    paths: Sequence[Path], predictor: Predictor, plane: str = "axial", count: int = 5
) -> Iterator[tuple[PreparedImage, Prediction]]:
    """Read, preprocess and predict files, each of them once; yield the images in the order of the files.

    Args:
        plane: axial, coronal or sagittal, of volumes.
        count: number of slices taken from a volume.
    """
    description = predictor.description

    def prepare_file(numbered: tuple[int, Path]) -> list[PreparedImage]:
        file_index, path = numbered
        return [
            _prepare(image, PreparedImage(image.file, path, file_index, position), description)
            for position, image in enumerate(read_images(path, plane, count))
        ]

    with ThreadPoolExecutor() as pool:
        for files in _batches(enumerate(paths), BATCH_SIZE):
            # A thread returns small preprocessed images: what is as large as a file is freed within the thread.
            prepared = pool.map(prepare_file, files)
            for batch in _batches((image for images in prepared for image in images), BATCH_SIZE):
                yield from zip(batch, _predict_batch(batch, predictor.predict_fn, description), strict=True)


def _batches(items: Iterable[T], count: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, count)):
        yield batch


def _prepare(source: GrayImage, item: PreparedImage, description: Description) -> PreparedImage:
    """Fill in the preprocessed image, or the error."""
    if source.gray is None:
        return item._replace(error=source.error)
    try:
        image = preprocess(source.gray, description.preprocess.operations).image
        quality_warning = head_quality_warning(locate_head(source.gray))
        return item._replace(image=image, quality_warning=quality_warning, file_warnings=source.warnings)
    except Exception as error:  # an image of one pixel, for example
        return item._replace(error=f"cannot be preprocessed: {str(error) or type(error).__name__}")


def _predict_batch(
    batch: Sequence[PreparedImage], predict_fn: PredictFn, description: Description
) -> Iterator[Prediction]:
    images = [item.image for item in batch if item.image is not None]
    probabilities = iter(predict_fn(np.stack(images)) if images else ())
    for item in batch:
        if item.image is None:
            yield Prediction(item.file, error=item.error)
        else:
            warnings = (item.quality_warning, item.file_warnings)
            yield make_prediction(item.file, item.image, next(probabilities), *warnings, description)


def make_prediction(
    file: str,
    image: Gray,
    probabilities: Floats,
    quality_warning: str,
    file_warnings: Sequence[str],
    description: Description,
) -> Prediction:
    """Choose the class and the prediction set, and collect the reasons to reject the image and the warnings.

    Args:
        file: name of the image.
        image: (S, S) preprocessed.
        probabilities: (K,) calibrated, in the order of the description's classes.
        quality_warning: why it does not look like a slice of a head, '' if it does.
        file_warnings: reasons to distrust the image, from the header of its file.
    """
    if not np.isfinite(probabilities).all():
        return Prediction(file, error="the model's probabilities are not finite: its weights are corrupted")
    classes, threshold = description.classes, description.calibration.thresholds.get(COVERAGE)
    order = np.argsort(-probabilities, kind="stable")
    # The most probable class is always included: sets of accurate models are often empty, which means nothing.
    prediction_set: tuple[str, ...] = ()
    if threshold is not None:
        prediction_set = tuple(
            classes[k] for k in order if k == order[0] or 0 < threshold <= round(float(probabilities[k]), 9)
        )
    reasons, warnings = [], list(file_warnings)
    if quality_warning:
        reasons.append(f"{NOT_A_HEAD}: {quality_warning}")
    if description.ood_reference is not None and out_of_distribution.is_ood(image[None], description.ood_reference)[0]:
        reasons.append(UNLIKE_TRAINING)
    if reasons:
        pass  # there is no answer whose certainty matters
    elif len(prediction_set) > 1:
        warnings.append(f"low certainty: {' or '.join(prediction_set)}")
    elif probabilities[order[0]] < MIN_CONFIDENCE:
        warnings.append(f"low certainty: no class has a probability of {MIN_CONFIDENCE:.0%} or more")
    return Prediction(
        file,
        classes[int(order[0])],
        {label: round(float(value), 4) for label, value in zip(classes, probabilities, strict=True)},
        prediction_set,
        not reasons,
        tuple(reasons),
        tuple(warnings),
    )
