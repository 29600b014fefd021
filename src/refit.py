"""Train a recipe once more in another way, for a study, and predict the rows that it is measured on."""

import argparse
import logging
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor import runtime
from brain_tumor.calibration import to_probabilities
from brain_tumor.classifier import predict_logits
from brain_tumor.fitting import Recipe, fit
from brain_tumor.outputs import remove, staged, write_csv
from brain_tumor.params import Block, read
from brain_tumor.rows import gather, read_rows
from brain_tumor.split import SplitParams, split, statistics
from recipe import read_recipe
from stage import PARAMS, SCRATCH, guarded

log = logging.getLogger(__name__)
PARTS = ("train", "validation", "test")


class Study(Block):
    """A recipe of a study, and its backbone, which DVC must know as a dependency."""

    name: str
    backbone: str


class CrossvalParams(Block):
    """`crossval`: recipes, numbers of repeats and folds, and the share of what is left that validation gets."""

    recipes: tuple[Study, ...]
    repeats: tuple[int, ...]
    folds: tuple[int, ...]
    validation: float
    seed: int


def main() -> None:
    """Train a recipe anew: on a fold, from another seed, or as its author did, who chose the epoch on test images."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("name", help="the recipe of params.yaml to train")
    ways = parser.add_subparsers(dest="way", required=True)
    fold = ways.add_parser("fold", help="a fold of cross-validation: groups stay whole")
    fold.add_argument("repeat", type=int)
    fold.add_argument("fold", type=int)
    seed = ways.add_parser("seed", help="the recipe's own split, from another seed")
    seed.add_argument("seed", type=int)
    ways.add_parser("protocol", help="all training rows, and the epoch that is best on the test rows")
    given = parser.parse_args()
    recipe, folder = read_recipe(given.name), Path(f"data/enhanced/{given.name}")
    rows = read_rows(folder, Path(f"data/split/{given.name}.csv"), *PARTS)
    images = np.load(folder / "images.npy", mmap_mode="r")
    if given.way == "fold":
        params = read(PARAMS, "crossval", CrossvalParams)
        rows["part"], out = fold_parts(rows, params, given.repeat, given.fold), f"{given.repeat}-{given.fold}"
        place = f"data/crossval/{given.name}/{out}.csv"
    elif given.way == "seed":
        recipe = recipe._replace(train=recipe.train.model_copy(update={"seed": given.seed}))
        place = f"data/seeds/{given.name}/{given.seed}.csv"
    else:
        rows["part"] = rows["part"].where(rows["part"] != "validation", "train")
        place = f"data/protocol/{given.name}.csv"
    predictions = refit(recipe, images, rows, given.way == "protocol", SCRATCH / Path(place).with_suffix(""))
    if predictions is not None:
        with staged(place) as (draft,):
            write_csv(draft, predictions)


def fold_parts(rows: pd.DataFrame, params: CrossvalParams, repeat: int, fold: int) -> "pd.Series[str]":
    """Assign all rows of a recipe to the parts of a fold."""
    # Nothing can leak where groups stay whole, so that what a copy is plays no part.
    known = rows.assign(copies=rows["group"], orientation="")
    options = {"folds": len(params.folds), "fold": fold, "validation": params.validation, "seed": params.seed + repeat}
    return split(known, SplitParams.model_validate({"by": "kfold", **options}))["part"]


def refit(
    recipe: Recipe, images: NDArray[np.uint8], rows: pd.DataFrame, select_on_test: bool, scratch: Path
) -> pd.DataFrame | None:
    """Train on the rows whose part says so and predict the test rows; None in all processes but the first."""
    training, validation, test = (rows[rows["part"] == part] for part in PARTS)
    places = training["row"].to_numpy()
    weights = statistics(images[places], training["label"].tolist(), recipe.classes)["class_weights"]
    chosen = test if select_on_test else validation
    fitted = fit(recipe, images, training, chosen, [weights[label] for label in recipe.classes], scratch)
    if fitted is None:
        return None
    model, card, _ = fitted
    found = gather(images, test, recipe.classes, card.metadata)
    device = runtime.start()
    logits = predict_logits(model.to(device), found.images, device, found.metadata).double()
    probabilities = to_probabilities(logits, card.head, card.calibration.temperature).numpy()
    table = test[["row", "path", "label", "group", "leak"]].assign(trained=len(training))
    for k, label in enumerate(recipe.classes):
        table[f"p_{label}"] = probabilities[:, k].round(6)
    accuracy = (probabilities.argmax(1) == found.targets.numpy()).mean()
    log.info("%s: %d test images, accuracy %.4f", recipe.name, len(test), accuracy)
    remove(scratch)
    return table


if __name__ == "__main__":
    guarded(main)
