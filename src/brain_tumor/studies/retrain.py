"""Training a recipe again for a study, and predicting its test rows."""

import logging
from pathlib import Path

import pandas as pd

from brain_tumor.core.outputs import remove
from brain_tumor.core.tables import probability_columns
from brain_tumor.core.types import Gray
from brain_tumor.models import runtime
from brain_tumor.models.predict import predict_probabilities
from brain_tumor.splits.split import PARTS, SplitParams, split_rows, training_statistics
from brain_tumor.studies.params import CrossvalParams
from brain_tumor.training.fit import fit
from brain_tumor.training.recipe import TrainingConfig

log = logging.getLogger(__name__)


def assign_fold(rows: pd.DataFrame, params: CrossvalParams, repeat: int, fold: int) -> "pd.Series[str]":
    """Assign all rows of a recipe to the parts of a fold; groups stay whole."""
    # Groups stay whole, so duplicates cannot leak between the parts.
    table = rows.assign(duplicate_id=rows["group"], orientation="")
    options = {"folds": len(params.folds), "fold": fold, "validation": params.validation, "seed": params.seed + repeat}
    return split_rows(table, SplitParams.model_validate({"strategy": "kfold", **options}))["part"]


def retrain(
    recipe: TrainingConfig, images: Gray, rows: pd.DataFrame, select_on_test: bool, scratch: Path
) -> pd.DataFrame | None:
    """Train on the rows whose part is `train`, and predict the test rows.

    Args:
        images: (N, S, S) of all rows, memory-mapped.
        select_on_test: the epoch is selected on the test rows, as some authors do; else on the validation rows.

    Returns:
        A table of the test rows with a column of probabilities for each class; None in all processes but the first
        of several that train together.
    """
    training, validation, test = (rows[rows["part"] == part] for part in PARTS)
    pixels, labels = images[training["row"].to_numpy()], training["label"].tolist()
    weights = training_statistics(pixels, labels, recipe.classes)["class_weights"]
    selection_set = test if select_on_test else validation
    result = fit(recipe, images, training, selection_set, [weights[label] for label in recipe.classes], scratch)
    if result is None:
        return None
    device = runtime.setup_device(result.config.numerics)
    model = result.model.to(device)
    probabilities = predict_probabilities(model, result.config, images[test["row"].to_numpy()], device, test).calibrated
    table = test[["row", "path", "label", "group", "leak"]].assign(num_train=len(training))
    table[probability_columns(recipe.classes)] = probabilities.round(6)
    predicted = [recipe.classes[k] for k in probabilities.argmax(1)]
    log.info("%s: %d test images, accuracy %.4f", recipe.name, len(test), (test["label"] == predicted).mean())
    remove(scratch)
    return table
