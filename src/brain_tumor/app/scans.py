"""The app without its page: models, uploads, test images, and the prediction and heat map of a slice."""

import functools
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from brain_tumor.app.html import prediction_html
from brain_tumor.attribution.methods import Method
from brain_tumor.core.errors import UserError
from brain_tumor.core.tables import read_table
from brain_tumor.core.types import Gray, Maps
from brain_tumor.imaging.head import head_quality_warning, locate_head
from brain_tumor.inference.files import read_images
from brain_tumor.inference.heat_maps import compute_heat_map
from brain_tumor.inference.predictor import make_prediction
from brain_tumor.inference.torch_model import TorchModel, load_torch_model
from brain_tumor.preprocessing.operations import preprocess

UPLOAD_TTL_SECONDS = 600
NUM_VOLUME_SLICES = 24
NUM_EXAMPLES_PER_CLASS = 2
METHODS: dict[str, Method | None] = {
    "no heat map": None,
    "Grad-CAM": "grad-cam",
    "Grad-CAM++": "grad-cam++",
    "integrated gradients (slow)": "integrated-gradients",
}
ATTENTION_METHODS: dict[str, Method | None] = {
    "attention rollout": "attention-rollout",
    "attention relevance": "attention-relevance",
}


class Scan(NamedTuple):
    """An upload or a test image.

    Attributes:
        images: gray images (H, W).
        names: names of the images.
        preprocessed: whether the images are preprocessed already.
        warnings: reasons to distrust the images, from the header of the file.
    """

    images: list[Gray]
    names: list[str]
    preprocessed: bool = False
    warnings: tuple[str, ...] = ()


class SliceView(NamedTuple):
    """Content of the page for one slice.

    Attributes:
        image: (S, S) preprocessed.
        heat: (S, S), 0 to 1; None without a heat map.
        caption: plain text under the image.
        prediction: HTML.
        probabilities: probability of each class.
    """

    image: Gray
    heat: Maps | None
    caption: str
    prediction: str
    probabilities: dict[str, float]


@functools.lru_cache
def load_model(recipe: str, root: Path) -> TorchModel:
    """Load a model once."""
    return load_torch_model(root / "models" / recipe)


def list_recipes(root: Path) -> list[str]:
    """List the recipes with a trained model in the repository.

    Raises:
        UserError: there are none.
    """
    recipes = sorted(path.parent.name for path in root.glob("models/*/model.safetensors"))
    if not recipes:
        raise UserError("no trained model in models/: run `make repro`, or `dvc pull models/<recipe>`")
    return recipes


def list_methods(recipe: str, root: Path) -> dict[str, Method | None]:
    """Return the attribution methods for a model's network, by their labels on the page."""
    backbone: Any = load_model(recipe, root).classifier.backbone
    return METHODS | (ATTENTION_METHODS if hasattr(backbone, "num_prefix_tokens") else {})


def list_examples(recipe: str, root: Path) -> dict[str, int]:
    """Return the rows of the first test images of each class, by their labels; none without the recipe's data."""
    images, predictions = root / f"data/enhanced/{recipe}/images.npy", root / f"data/predictions/{recipe}.csv"
    if not images.exists() or not predictions.exists():
        return {}
    table = read_table(predictions, numbers=["row"])
    numbers = table.groupby("label").cumcount() + 1
    examples = table.assign(number=numbers)[numbers <= NUM_EXAMPLES_PER_CLASS]
    columns = zip(examples["label"], examples["number"], examples["row"], strict=True)
    return {f"{label}, test image {number}": int(row) for label, number, row in columns}


def read_example(recipe: str, name: str, root: Path) -> Scan:
    """Read a test image of the recipe as the model's input."""
    images = np.load(root / f"data/enhanced/{recipe}/images.npy", mmap_mode="r")
    return Scan([np.array(images[list_examples(recipe, root)[name]])], [f"example: {name}"], True)


def read_model_card(recipe: str, root: Path) -> str:
    """Read the model card without its YAML header."""
    path = root / f"reports/{recipe}/hub/README.md"
    if not path.exists():
        return f"There is no model card yet: run `dvc repro stages/dvc.yaml:report@{recipe}`."
    return path.read_text(encoding="utf-8").split("\n---\n", 1)[-1]


def read_upload(path: str | None, plane: str) -> Scan | str | None:
    """Read an uploaded file into memory and remove it from the disk.

    Returns:
        The images, an error message if the file is unreadable, or None without a file.
    """
    if not path:
        return None
    try:
        images = read_images(Path(path), plane, NUM_VOLUME_SLICES)
    finally:
        Path(path).unlink(missing_ok=True)
    error = next((image.error for image in images if image.error), "")
    if error or not images:
        return f"{Path(path).name} cannot be read: {error or 'it contains no image'}"
    grays = [image.gray for image in images if image.gray is not None]
    return Scan(grays, [Path(image.file).name for image in images], warnings=images[0].warnings)


def remove_stale_uploads(folder: Path) -> None:
    """Remove uploaded files that were not read within UPLOAD_TTL_SECONDS."""
    for file in folder.rglob("*"):
        if file.is_file() and time.time() - file.stat().st_mtime > UPLOAD_TTL_SECONDS:
            file.unlink(missing_ok=True)


def predict_and_explain(scan: Scan, position: int, recipe: str, method: Method | None, root: Path) -> SliceView:
    """Predict one slice, and compute the heat map of its predicted class."""
    model, gray, name = load_model(recipe, root), scan.images[position], scan.names[position]
    image = gray if scan.preprocessed else preprocess(gray, model.description.preprocess.operations).image
    warning = "" if scan.preprocessed else head_quality_warning(locate_head(gray))
    probabilities = model.predict_probabilities(image[None])[0]
    prediction = make_prediction(name, image, probabilities, warning, scan.warnings, model.description)
    heat = None
    if method is not None and not prediction.error:
        heat = compute_heat_map(model, image, prediction.predicted, method)
    caption = f"{name}, as the model's input"
    return SliceView(image, heat, caption, prediction_html(prediction), dict(prediction.probabilities))
