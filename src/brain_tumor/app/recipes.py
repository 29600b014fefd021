"""What the app shows of a recipe: its model, methods and their verdicts, test images and model card.

Torch takes seconds to import: only `load_model` does it, so that the page can be shown before.
"""

import csv
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from brain_tumor.app.html import NOT_MEASURED
from brain_tumor.core.errors import UserError
from brain_tumor.core.tables import read_table
from brain_tumor.core.types import Gray

if TYPE_CHECKING:
    from brain_tumor.attribution.methods import Method
    from brain_tumor.inference.torch_model import TorchModel

NUM_EXAMPLES_PER_CLASS = 2
MAX_MODELS = 2  # that are kept in memory
METHODS: "dict[str, Method | None]" = {
    "no heat map": None,
    "Grad-CAM": "grad-cam",
    "Grad-CAM++": "grad-cam++",
    "LayerCAM": "layer-cam",
    "HiResCAM": "hires-cam",
    "integrated gradients (slow)": "integrated-gradients",
}
ATTENTION_METHODS: "dict[str, Method | None]" = {
    "attention rollout": "attention-rollout",
    "attention relevance": "attention-relevance",
}
_models: "OrderedDict[Path, TorchModel]" = OrderedDict()
_lock = threading.Lock()


class MethodVerdict(NamedTuple):
    """The verdict on a method's heat maps for a model, and the names of the checks that failed."""

    text: str
    failed: tuple[str, ...] = ()


def load_model(recipe: str, root: Path) -> "TorchModel":
    """Load a model, or return it if it was loaded before; the last MAX_MODELS are kept."""
    from brain_tumor.inference.torch_model import load_torch_model

    folder = root / "models" / recipe
    with _lock:
        if folder not in _models:
            _models[folder] = load_torch_model(folder)
        _models.move_to_end(folder)
        while len(_models) > MAX_MODELS:
            _models.popitem(last=False)
        return _models[folder]


def list_recipes(root: Path) -> list[str]:
    """List the recipes with a trained model in the repository.

    Raises:
        UserError: there are none.
    """
    recipes = sorted(path.parent.name for path in root.glob("models/*/model.safetensors"))
    if not recipes:
        raise UserError("no trained model in models/: run `make repro`, or `dvc pull models/<recipe>`")
    return recipes


def list_methods(recipe: str, root: Path) -> "dict[str, Method | None]":
    """Return the attribution methods for a model's network, by their labels on the page."""
    backbone: Any = load_model(recipe, root).classifier.backbone
    return METHODS | (ATTENTION_METHODS if hasattr(backbone, "num_prefix_tokens") else {})


def read_verdict(recipe: str, method: "Method", root: Path) -> MethodVerdict:
    """Read what the checks of stage `explain` say about a method for this model, as its report does."""
    from brain_tumor.attribution.verdict import rank_methods, read_estimates
    from brain_tumor.inference.heat_maps import METHODS as ALL_METHODS
    from brain_tumor.reporting.results import read_rows

    try:
        rows = read_rows(root / f"metrics/{recipe}/explain.csv")
        maps = {row["map"] for row in rows}
        # All methods together: the checks are corrected for their number.
        ranking = rank_methods(read_estimates(rows), [name for name in ALL_METHODS if name in maps])
    except (OSError, ValueError, KeyError, csv.Error):  # not explained yet, or by another version
        return MethodVerdict(NOT_MEASURED)
    for name, checks, verdict in ranking:
        if name == method:
            return MethodVerdict(verdict, tuple(check.criterion for check in checks if check.verdict == "no"))
    return MethodVerdict(NOT_MEASURED)


def list_examples(recipe: str, root: Path) -> dict[str, int]:
    """Return the rows of the first test images of each class, by their labels; none without the recipe's data."""
    images, predictions = root / f"data/enhanced/{recipe}/images.npy", root / f"data/predictions/{recipe}.csv"
    if not images.exists() or not predictions.exists():
        return {}
    table = read_table(predictions, numbers=["row"])
    numbers = table.groupby("label").cumcount() + 1
    examples = table.assign(number=numbers)[numbers <= NUM_EXAMPLES_PER_CLASS].sort_values(["label", "number"])
    columns = zip(examples["label"], examples["number"], examples["row"], strict=True)
    return {f"{label}, test image {number}": int(row) for label, number, row in columns}


def read_example(recipe: str, name: str, root: Path) -> Gray:
    """Read a test image of the recipe (S, S), preprocessed.

    Raises:
        UserError: there is no such test image.
    """
    examples = list_examples(recipe, root)
    if name not in examples:
        raise UserError(f"the recipe {recipe} has no test image '{name}'")
    images = np.load(root / f"data/enhanced/{recipe}/images.npy", mmap_mode="r")
    return np.array(images[examples[name]])


def read_model_card(recipe: str, root: Path) -> str:
    """Read the model card without its YAML header."""
    path = root / f"reports/{recipe}/hub/README.md"
    if not path.exists():
        return f"There is no model card yet: run `dvc repro stages/dvc.yaml:report@{recipe}`."
    return path.read_text(encoding="utf-8").split("\n---\n", 1)[-1]
