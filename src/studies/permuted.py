"""Compare the heat maps of a recipe's model with those of the same network after training on permuted labels."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brain_tumor.attribution.cases import ExplainParams, sample_rows
from brain_tumor.attribution.explained_model import ExplainedModel
from brain_tumor.core.cli import PARAMS, SCRATCH, run_stage
from brain_tumor.core.outputs import atomic_outputs, remove, write_json
from brain_tumor.core.params import read_params
from brain_tumor.core.types import Gray
from brain_tumor.models.classifier import load_model
from brain_tumor.models.samples import read_split
from brain_tumor.studies.params import PermutedParams
from brain_tumor.studies.permuted_labels import compare_maps, measure_memorization, permute_labels
from brain_tumor.training.fit import FitResult, fit
from brain_tumor.training.recipe import read_training_config

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Train on permuted labels with the recipe's parameters, and measure how similar the maps of both models are."""
    params = read_params(PARAMS, "permuted", PermutedParams)
    explain_params = read_params(PARAMS, f"recipes.{name}.explain", ExplainParams)
    folder, scratch = Path(f"data/enhanced/{name}"), SCRATCH / "permuted" / name
    rows = read_split(folder, Path(f"data/split/{name}.csv"), "train", "test")
    train, test = (rows[rows["part"] == part].reset_index(drop=True) for part in ("train", "test"))
    train = permute_labels(train, params.seed)
    images = np.load(folder / "images.npy", mmap_mode="r")
    fit_result = train_on_permuted_labels(name, images, train, scratch)
    if fit_result is None:  # of several processes, the first one writes the results
        return
    model, config, device = load_model(Path("models") / name)
    original = ExplainedModel(model, config, explain_params, device)
    permuted = original._replace(model=fit_result.model.to(device).eval())
    sample = sample_rows(test, params.images, params.seed)
    pixels = images[sample["row"].to_numpy()]
    targets = original.predict_proba(pixels).argmax(1)
    content: dict[str, Any] = {"n": len(sample), "generated_images": config.generated_data}
    content |= measure_memorization(permuted, images[train["row"].to_numpy()], train)
    for method in explain_params.methods:
        content[method] = compare_maps(method, original, permuted, pixels, targets, sample)
        log.info("%s, %s: rank correlation %.3f", name, method, content[method].get("rank_correlation", np.nan))
    with atomic_outputs(f"metrics/{name}/permuted.json") as (path,):
        write_json(path, content, digits=4)
    remove(scratch)


def train_on_permuted_labels(name: str, images: Gray, train: pd.DataFrame, scratch: Path) -> FitResult | None:
    """Train a recipe on rows with permuted labels; the epoch is selected on the same rows.

    Selected that way because the question is how far the model fits the permuted labels, not how it generalizes.
    """
    config = read_training_config(name)
    weights = json.loads(Path(f"data/split/{name}.json").read_text())["class_weights"]
    return fit(config, images, train, train, train.head(0), [weights[label] for label in config.classes], scratch)


if __name__ == "__main__":
    run_stage(main, "recipe")
