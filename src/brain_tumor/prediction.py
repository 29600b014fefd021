"""From files to predictions with warnings: images, DICOM files and NIfTI volumes; a bad file never stops the rest.

Torch is not imported here, nor is pandas unless a DICOM file or a volume is read, so that a prediction by the ONNX
runtime starts at once.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brain_tumor import typicality
from brain_tumor.enhance import enhance
from brain_tumor.errors import UserError
from brain_tumor.images import read_gray
from brain_tumor.onnx_model import Description, OnnxModel, read_description
from brain_tumor.thumbnails import thumbnails

if TYPE_CHECKING:
    import torch

    from brain_tumor.classifier import Classifier, ModelCard

Gray = NDArray[np.uint8]
Values = NDArray[np.float64]
Ask = Callable[[Gray], Values]
T = TypeVar("T")
GENERATED = "This model was trained on generated images: it knows no patient."
COVERAGE = "0.9"  # of the prediction sets
MOST_BYTES = 512 * 2**20  # of one file
AT_ONCE = 16  # files, and images
LEAST = 0.5  # probability below which a prediction is unsure in any case
SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".dcm", ".nii", ".nii.gz")
NO_IMAGE = f"holds no image: {', '.join(SUFFIXES)} are known"
LARGE = Lock()  # a volume may take gigabytes: one at a time


class Prediction(NamedTuple):
    """What is said of one image.

    Attributes:
        file: the file, and for slices of a volume or frames of a DICOM file which one.
        predicted: the class of the highest probability, '' if the file could not be read.
        probabilities: calibrated, by class.
        likely: the most probable class, and the others of the prediction set, which holds the true one in 90 of 100
            images like those of validation.
        warnings: reasons to distrust it.
        error: why there is no prediction, '' otherwise.
    """

    file: str
    predicted: str = ""
    probabilities: Mapping[str, float] = {}
    likely: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str = ""


class Slice(NamedTuple):
    """A gray image (H, W) out of a file, or the reason why there is none."""

    file: str
    gray: Gray | None
    error: str = ""


def open_model(place: Path, runtime: str | None = None, int8: bool = False) -> tuple[Ask, Description]:
    """A function from enhanced images (N, S, S) to calibrated probabilities (N, K), and the model's description.

    Args:
        place: a folder of a trained or exported model, or an exported file.
        runtime: `torch` or `onnx`; by default what the folder holds, rather an exported file.
        int8: the quantized file.

    Raises:
        UserError: there is no model at that place, or not for that runtime.
    """
    if not place.exists():
        raise UserError(f"{place} does not exist: train it with `dvc repro`, or get it with `dvc pull`")
    file = place if place.is_file() else place / ("model-int8.onnx" if int8 else "model.onnx")
    if int8 and (place.is_file() or runtime == "torch"):
        raise UserError("int8 is a file of an export: name its folder, and no other runtime than onnx")
    if file.exists() and runtime != "torch":
        model = OnnxModel(file)
        return model.probabilities, model.description
    if runtime == "onnx" or int8:
        raise UserError(f"{file} is missing: make it with `dvc repro stages/dvc.yaml:export@{place.resolve().name}`")
    if not place.is_dir():
        raise UserError(f"{place} is no folder of a trained model")
    return _with_torch(place)


def _with_torch(folder: Path) -> tuple[Ask, Description]:
    about = read_description(folder)
    try:
        from brain_tumor import runtime
        from brain_tumor.classifier import load
    except ImportError as error:
        raise UserError(f"{error.name} is not installed: an exported model needs neither torch nor timm") from None
    device = runtime.start()
    return ask_torch(*load(folder, device), device), about


def ask_torch(model: "Classifier", card: "ModelCard", device: "torch.device") -> Ask:
    """A function from enhanced images (N, S, S) to calibrated probabilities (N, K), by a loaded model."""
    from brain_tumor.inference import predict_calibrated

    return lambda images: predict_calibrated(model, card, images, device)


def find(paths: Iterable[Path]) -> list[Path]:
    """The files named, and all images in the folders named, sorted; of files with no known suffix those that are DICOM.

    A folder without any, one that cannot be read and a path that does not exist stay as they are: `slices` says so.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(file for file in _inside(path) if file.is_dir() or _is_image(file))
        found += inside or [path]
    return found


def _inside(folder: Path) -> Iterator[Path]:
    """All files of a folder, of linked folders too, each folder once: a link may lead back; and unreadable folders."""
    seen, closed = set(), list[Path]()

    def note(error: OSError) -> None:
        closed.append(Path(error.filename))

    for place, folders, files in os.walk(folder, onerror=note, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(place) / file for file in files)
    yield from closed


def _is_image(file: Path) -> bool:
    if not file.is_file() or file.name.startswith("."):  # also what macOS puts beside each file
        return False
    if file.name.lower().endswith(SUFFIXES):
        return True
    try:
        with file.open("rb") as content:  # DICOM files are often named by a number with dots
            return content.read(132)[128:] == b"DICM"
    except OSError:
        return True  # what it is cannot be known: it is to be named as unreadable


def slices(path: Path, plane: str = "axial", count: int = 5) -> list[Slice]:
    """Read a file: one image, the frames of a DICOM file, or slices of a NIfTI volume."""
    name = str(path)
    try:
        if path.is_dir():
            readable = os.access(path, os.R_OK | os.X_OK)
            return [Slice(name, None, NO_IMAGE if readable else "this folder may not be read")]
        if not path.exists():
            return [Slice(name, None, "does not exist")]
        if not path.is_file() and str(path) != "/dev/stdin":
            return [Slice(name, None, "no file")]  # a pipe would be waited for, a device read forever
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            return [Slice(name, None, f"larger than {MOST_BYTES // 2**20} MiB")]
        if content[128:132] == b"DICM" or path.name.lower().endswith((".nii", ".nii.gz")):
            with LARGE:
                return _clinical(name, content, plane, count)
        return [_frame(name, content)]
    except Exception as error:  # whatever is in a file, it is this file's error alone
        return [Slice(name, None, str(error) or type(error).__name__)]


def _frame(name: str, content: bytes) -> Slice:
    gray = read_gray(content)
    with Image.open(BytesIO(content)) as image:
        count = getattr(image, "n_frames", 1)
    # The first of them would be a choice that nobody made.
    return Slice(name, gray) if count == 1 else Slice(name, None, f"holds {count} images: save each as a file")


def _clinical(name: str, content: bytes, plane: str, count: int) -> list[Slice]:
    # Imported here: these libraries take longer to load than most predictions take.
    from brain_tumor.archive import RawImage
    from brain_tumor.clinical import Volumes, dicom_slices, is_dicom, volume_slices

    image = RawImage(path=name, content=content, label="")
    volumes = Volumes.model_validate({"plane": plane, "count": count})
    found = dicom_slices(image) if is_dicom(content) else volume_slices(image, volumes)
    return [Slice(each.path.removesuffix(".png"), read_gray(each.content)) for each in found]


def predict(
    paths: Sequence[Path],
    ask: Ask,
    about: Description,
    plane: str = "axial",
    count: int = 5,
) -> Iterator[Prediction]:
    """Predict files one after another, as they come.

    Args:
        ask: calibrated probabilities (N, K) of enhanced images (N, S, S).
        plane, count: which slices are taken of volumes.
    """
    with ThreadPoolExecutor() as pool:
        for some in _batches(paths, AT_ONCE):
            # What is as large as the file, is gone when it leaves its thread.
            read = pool.map(lambda path: [_prepare(each, about) for each in slices(path, plane, count)], some)
            for part in _batches((each for of_file in read for each in of_file), AT_ONCE):
                yield from _of_images(part, ask, about)


def _batches(items: Iterable[T], count: int) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, count)):
        yield some


class _Prepared(NamedTuple):
    """An enhanced image (S, S), what makes one doubt that it is a head, and why there is none."""

    file: str
    image: Gray | None
    doubt: str
    error: str


def _prepare(each: Slice, about: Description) -> _Prepared:
    if each.gray is None:
        return _Prepared(each.file, None, "", each.error)
    try:
        image = enhance(each.gray, about.enhance.operations).image
        return _Prepared(each.file, image, thumbnails(each.gray).doubt, "")
    except Exception as error:  # an image of one pixel, for example
        return _Prepared(each.file, None, "", f"cannot be prepared: {str(error) or type(error).__name__}")


def _of_images(part: Sequence[_Prepared], ask: Ask, about: Description) -> Iterator[Prediction]:
    images = [each.image for each in part if each.image is not None]
    probabilities = iter(ask(np.stack(images)) if images else ())
    for each in part:
        if each.image is None:
            yield Prediction(each.file, error=each.error)
        else:
            yield judge(each.file, each.image, next(probabilities), each.doubt, about)


def judge(file: str, image: Gray, p: Values, doubt: str, about: Description) -> Prediction:
    """Put probabilities (K,) of an enhanced image (S, S) into words."""
    if not np.isfinite(p).all():
        return Prediction(file, error="the model gave no finite probabilities: its weights are damaged")
    least = about.calibration.least.get(COVERAGE, 1.0)
    order = np.argsort(-p, kind="stable")
    # The most probable class belongs to it in any case: sets of accurate models are often empty, which means nothing.
    likely = tuple(about.classes[k] for k in order if k == order[0] or 0 < least <= round(float(p[k]), 9))
    warnings = []
    if doubt:
        warnings.append(f"does not look like a slice of a head: {doubt}")
    if about.typical is not None and typicality.unusual(image[None], about.typical)[0]:
        warnings.append("unlike the images that the model was trained on")
    if len(likely) > 1:
        warnings.append(f"low certainty: {' or '.join(likely)}")
    elif p[order[0]] < LEAST:
        warnings.append("low certainty: no class is more probable than all others together")
    known = {label: round(float(value), 4) for label, value in zip(about.classes, p, strict=True)}
    return Prediction(file, about.classes[int(order[0])], known, likely, tuple(warnings))
