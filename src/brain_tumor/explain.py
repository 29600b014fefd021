"""What of heat maps is shown and measured, and the rules that choose the images."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from brain_tumor.attribution import Method
from brain_tumor.intervals import Rounds, Sample, means
from brain_tumor.layers import Layer
from brain_tumor.params import Block

MODEL = "the model"  # in the column `map`, for what is measured of no map
COLUMNS = ["map", "class", "figure", "n", "value", "low", "high"]


class ExplainParams(Block):
    """`recipes.<name>.explain`.

    `layer`: `last`, the usual last stage, or `fine`, the deepest one whose cells span at most 16 pixels.
    `cases`: most cases a kind (right, wrong, unsure) and class that are shown; `seed` draws the right ones.
    `measured`: most test images whose maps are measured, with `rounds` of bootstrap; `checked`: most of these for
    which the model is asked again and again, with altered images and altered weights.
    """

    methods: tuple[Method, ...] = Field(min_length=1)
    layer: Layer
    cases: int = Field(ge=1)
    measured: int = Field(200, ge=1)
    checked: int = Field(48, ge=1)
    rounds: int = Field(2000, ge=100)
    seed: int


def normalize(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale each (H, W) map to 0..1 by its own maximum; a map of zeros stays one."""
    top = maps.reshape(len(maps), -1).max(1).reshape(-1, 1, 1)
    scaled: NDArray[np.float32] = np.divide(maps, top, out=np.zeros_like(maps), where=top > 0)
    return scaled


def choose_cases(predictions: pd.DataFrame, classes: Sequence[str], params: ExplainParams) -> pd.DataFrame:
    """Choose the cases to show, by rule and never by hand.

    For each true class up to `cases` right predictions drawn with the seed, up to `cases` wrong ones, the most
    certain first, and up to `cases` of the others, the least certain first. Added columns: kind ('right', 'wrong' or
    'unsure'), p (probability of the predicted class) and other: the true class of a mistake, else the runner-up.
    """
    table = predictions.copy()
    probabilities = table[[f"p_{label}" for label in classes]].to_numpy(float)
    table["p"] = probabilities.max(1)
    second = np.argsort(-probabilities, axis=1, kind="stable")[:, 1]
    right = (table["label"] == table["predicted"]).to_numpy(bool)
    table["other"] = np.where(right, np.array(list(classes))[second], table["label"])
    random = np.random.default_rng(params.seed)
    chosen = []
    for label in classes:
        own = table[table["label"] == label]
        good, bad = own[right[own.index]], own[~right[own.index]]
        typical = good.iloc[np.sort(random.permutation(len(good))[: params.cases])]
        mistakes = bad.sort_values(["p", "row"], ascending=[False, True]).head(params.cases)
        others = own.drop([*typical.index, *mistakes.index])
        unsure = others.sort_values(["p", "row"]).head(params.cases)
        for kind, part in (("right", typical), ("wrong", mistakes), ("unsure", unsure)):
            chosen.append(part.assign(kind=kind))
    return pd.concat(chosen, ignore_index=True)


def draw(rows: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Up to `count` rows in their order, drawn with the seed."""
    picks = np.sort(np.random.default_rng(seed).permutation(len(rows))[:count])
    return rows.iloc[picks].reset_index(drop=True)


def tabulate(
    name: str,
    values: Mapping[str, NDArray[np.float64]],
    rows: pd.DataFrame,
    params: ExplainParams,
    by_class: bool = False,
) -> pd.DataFrame:
    """Means of figures of images (N,) by name, without NaN, with 95 % intervals, over all images and perhaps by class.

    Args:
        name: of the map.
        rows: label and group of each image.
    """
    lines = []
    rounds = Rounds(rounds=params.rounds, seed=params.seed)
    for label in ("", *(sorted(set(rows["label"])) if by_class else ())):
        chosen = (rows["label"] == label).to_numpy(bool) if label else np.ones(len(rows), bool)
        part = rows[chosen]
        if not len(part) or not values:
            continue
        sample = Sample(np.zeros(len(part), np.int64), part["group"].tolist(), part["label"].tolist())
        own = {figure: found[chosen] for figure, found in values.items()}
        for figure, found in means(sample, own, rounds).items():
            count = int(np.isfinite(own[figure]).sum())
            if count:
                lines.append((name, label, figure, count, *found))
    return pd.DataFrame(lines, columns=COLUMNS)
