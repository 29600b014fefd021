"""Case selection and parameters of the explanation stage."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pydantic import Field

from brain_tumor.attribution.constants import MIN_IMAGES
from brain_tumor.attribution.layers import Layer
from brain_tumor.attribution.methods import Method
from brain_tumor.core.errors import UserError
from brain_tumor.core.params import Block
from brain_tumor.core.tables import is_clean, probability_columns


class ExplainParams(Block):
    """`recipes.<name>.explain`.

    Attributes:
        methods: attribution methods to measure and draw.
        layer: layer of the CAM methods: `last`, the last stage, or `fine`, the deepest one whose cells span at most 16
            pixels.
        num_cases: maximum number of cases to draw for each kind (correct, incorrect, uncertain) and class.
        num_images_measured: maximum number of test images for localization and relevance by region.
        num_images_checks: maximum number of these for the checks that run the model many times, on perturbed images
            or with randomized weights; with fewer than 200, no verdict is given.
        rounds: bootstrap replicates.
        seed: seed of all sampling.
    """

    methods: tuple[Method, ...] = Field(min_length=1)
    layer: Layer
    num_cases: int = Field(ge=1)
    num_images_measured: int = Field(400, ge=1)
    num_images_checks: int = Field(200, ge=1)
    rounds: int = Field(2000, ge=100)
    seed: int


def choose_cases(predictions: pd.DataFrame, classes: Sequence[str], params: ExplainParams) -> pd.DataFrame:
    """Choose the cases to draw, by rule and never by hand.

    For each true class: up to `num_cases` correct predictions sampled with the seed, up to `num_cases` incorrect ones
    in order of decreasing confidence, and up to `num_cases` of the others in order of increasing confidence.

    Args:
        predictions: test rows with the columns row, label, predicted and p_<class> for each class.

    Returns:
        The chosen rows with three more columns: kind ('correct', 'incorrect' or 'uncertain'), p (probability of the
        predicted class) and other (the true class of an incorrect prediction, else the class of the second highest
        probability).
    """
    table = predictions.copy()
    probabilities = table[probability_columns(classes)].to_numpy(float)
    table["p"] = probabilities.max(1)
    second = np.argsort(-probabilities, axis=1, kind="stable")[:, 1]
    is_correct = (table["label"] == table["predicted"]).to_numpy(bool)
    table["other"] = np.where(is_correct, np.array(list(classes))[second], table["label"])
    random = np.random.default_rng(params.seed)
    cases = []
    for label in classes:
        rows = table[table["label"] == label]
        correct, incorrect = rows[is_correct[rows.index]], rows[~is_correct[rows.index]]
        correct_cases = correct.iloc[np.sort(random.permutation(len(correct))[: params.num_cases])]
        incorrect_cases = incorrect.sort_values(["p", "row"], ascending=[False, True]).head(params.num_cases)
        remaining = rows.drop([*correct_cases.index, *incorrect_cases.index])
        uncertain_cases = remaining.sort_values(["p", "row"]).head(params.num_cases)
        for kind, part in (("correct", correct_cases), ("incorrect", incorrect_cases), ("uncertain", uncertain_cases)):
            cases.append(part.assign(kind=kind))
    return pd.concat(cases, ignore_index=True)


def select_test_rows(test: pd.DataFrame) -> pd.DataFrame:
    """Select the clean test rows, or all test rows where fewer than MIN_IMAGES are clean.

    Raises:
        UserError: there are no test rows.
    """
    if test.empty:
        raise UserError("the split has no test rows: there is nothing to explain")
    clean = test[is_clean(test)].reset_index(drop=True)
    return clean if len(clean) >= MIN_IMAGES else test


def sample_rows(rows: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Sample up to `count` rows without replacement; their order is kept."""
    indices = np.sort(np.random.default_rng(seed).permutation(len(rows))[:count])
    return rows.iloc[indices].reset_index(drop=True)
