"""What of heat maps is shown, and the rule that chooses the cases."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from brain_tumor.attribution import Method
from brain_tumor.layers import Layer
from brain_tumor.params import Block


class ExplainParams(Block):
    """`recipes.<name>.explain`.

    `layer`: `last`, the usual last stage, or `fine`, the deepest one whose cells span at most 16 pixels.
    `cases`: most cases a kind (right, wrong) and class; `seed` draws the typical right ones.
    """

    methods: tuple[Method, ...]
    layer: Layer
    cases: int = Field(ge=1)
    seed: int


def normalize(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale each (H, W) map to 0..1 by its own maximum; a map of zeros stays one."""
    top = maps.reshape(len(maps), -1).max(1).reshape(-1, 1, 1)
    scaled: NDArray[np.float32] = np.divide(maps, top, out=np.zeros_like(maps), where=top > 0)
    return scaled


def choose_cases(predictions: pd.DataFrame, classes: Sequence[str], params: ExplainParams) -> pd.DataFrame:
    """Choose the cases to show, by rule and never by hand.

    For each true class up to `cases` right predictions drawn with the seed, and up to `cases` wrong ones, the
    most certain first. Added columns: kind ('right' or 'wrong'), p (probability of the predicted class).
    """
    table = predictions.copy()
    columns = [f"p_{label}" for label in classes]
    table["p"] = table[columns].max(axis=1)
    table["kind"] = np.where(table["label"] == table["predicted"], "right", "wrong")
    random = np.random.default_rng(params.seed)
    chosen = []
    for label in classes:
        right = table[(table["label"] == label) & (table["kind"] == "right")]
        wrong = table[(table["label"] == label) & (table["kind"] == "wrong")]
        picks = np.sort(random.permutation(len(right))[: params.cases])
        chosen += [right.iloc[picks], wrong.sort_values(["p", "row"], ascending=[False, True]).head(params.cases)]
    return pd.concat(chosen, ignore_index=True)
