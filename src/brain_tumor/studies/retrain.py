"""Training a recipe again for a study, and predicting its test rows."""

import logging
from pathlib import Path

import pandas as pd

from brain_tumor.core.tables import probability_columns
from brain_tumor.core.types import Gray
from brain_tumor.models import runtime
from brain_tumor.models.predict import predict_probabilities
from brain_tumor.splits.split import SplitParams, split_rows, training_statistics
from brain_tumor.studies.params import CrossvalParams, PatientsParams
from brain_tumor.training.fit import fit
from brain_tumor.training.recipe import TrainingConfig

log = logging.getLogger(__name__)


def assign_fold(rows: pd.DataFrame, params: CrossvalParams, repeat: int, fold: int) -> pd.DataFrame:
    """Assign all rows of a recipe to the parts of a fold; groups stay whole."""
    options = {"folds": len(params.folds), "fold": fold, "validation": params.validation, "seed": params.seed + repeat}
    return _assign_parts(rows, SplitParams.model_validate({"strategy": "kfold", **options}))


def assign_patient_fold(rows: pd.DataFrame, params: PatientsParams, fold: str) -> pd.DataFrame:
    """Assign all rows of a recipe to the parts of a fold of the source, over which other groups are distributed."""
    options = {"fold": str(fold), "validation": params.validation, "seed": params.seed}
    return _assign_parts(rows, SplitParams.model_validate({"strategy": "folds", **options}))


def _assign_parts(rows: pd.DataFrame, params: SplitParams) -> pd.DataFrame:
    """Replace part and leak of the recipe's own split."""
    # Groups stay whole, so that no duplicate is in two parts.
    table = rows.assign(duplicate_id=rows["group"], orientation="")
    return rows.assign(**split_rows(table, params))


def retrain(
    recipe: TrainingConfig, images: Gray, rows: pd.DataFrame, select_on_test: bool, scratch: Path
) -> pd.DataFrame | None:
    """Train on the rows whose part is `train`, and predict the test rows; conformal rows are not used.

    Args:
        images: (N, S, S) of all rows, memory-mapped.
        scratch: folder of the checkpoints, from which an interrupted or finished training resumes.
        select_on_test: the epoch is selected on the test rows, as some authors do; else on the validation rows.

    Returns:
        A table of the test rows with a column of probabilities for each class; None in all processes but the first
        of several that train together.
    """
    training, validation, test = (rows[rows["part"] == part] for part in ("train", "validation", "test"))
    pixels, labels = images[training["row"].to_numpy()], training["label"].tolist()
    weights = training_statistics(pixels, labels, recipe.classes)["class_weights"]
    selection_set = test if select_on_test else validation
    class_weights = [weights[label] for label in recipe.classes]
    result = fit(recipe, images, training, selection_set, test.head(0), class_weights, scratch)
    if result is None:
        return None
    device = runtime.setup_device(result.config.numerics)
    model = result.model.to(device)
    probabilities = predict_probabilities(model, result.config, images[test["row"].to_numpy()], device, test).calibrated
    table = test[["row", "path", "label", "group", "leak"]].assign(num_train=len(training))
    table[probability_columns(recipe.classes)] = probabilities.round(6)
    predicted = [recipe.classes[k] for k in probabilities.argmax(1)]
    log.info("%s: %d test images, accuracy %.4f", recipe.name, len(test), (test["label"] == predicted).mean())
    return table
