"""What of heat maps is shown and measured, and the rules that choose the cases."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from brain_tumor import localization
from brain_tumor.attribution import Method
from brain_tumor.intervals import Rounds, Sample, means
from brain_tumor.layers import Layer
from brain_tumor.params import Block

COLUMNS = ["map", "class", "figure", "n", "value", "low", "high"]


class ExplainParams(Block):
    """`recipes.<name>.explain`.

    `layer`: `last`, the usual last stage, or `fine`, the deepest one whose cells span at most 16 pixels.
    `cases`: most cases a kind (right, wrong) and class that are shown; `seed` draws the typical right ones.
    `measured`: most test images with a mask on which maps are measured, with `rounds` of bootstrap.
    """

    methods: tuple[Method, ...]
    layer: Layer
    cases: int = Field(ge=1)
    measured: int = Field(200, ge=1)
    rounds: int = Field(2000, ge=100)
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


def with_tumor(rows: pd.DataFrame, masks: NDArray[np.uint8], params: ExplainParams) -> pd.DataFrame:
    """The rows whose mask holds something, or as many of them as are measured, drawn with the seed."""
    known = rows[[bool(masks[row].any()) for row in rows["row"]]].reset_index(drop=True)
    picks = np.sort(np.random.default_rng(params.seed).permutation(len(known))[: params.measured])
    return known.iloc[picks].reset_index(drop=True)


def against_masks(
    maps: dict[str, NDArray[np.float32]], rows: pd.DataFrame, masks: NDArray[np.bool_], params: ExplainParams
) -> pd.DataFrame:
    """The figures of maps (N, H, W) by name against masks, over all images and by class, with 95 % intervals."""
    lines = []
    rounds = Rounds(rounds=params.rounds, seed=params.seed)
    for name, values in maps.items():
        each = localization.figures(values, masks)
        for label in ("", *sorted(set(rows["label"]))):
            chosen = np.ones(len(rows), bool) if not label else (rows["label"] == label).to_numpy(bool)
            part = rows[chosen]
            sample = Sample(np.zeros(len(part), np.int64), part["group"].tolist(), part["label"].tolist())
            for figure, found in means(sample, {key: found[chosen] for key, found in each.items()}, rounds).items():
                lines.append((name, label, figure, len(part), *found))
    return pd.DataFrame(lines, columns=COLUMNS)
