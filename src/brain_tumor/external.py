"""How the classes of a model and those of another data set go together."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from brain_tumor.metrics import Floats
from brain_tumor.params import Block


class ExternalParams(Block):
    """`external`.

    Attributes:
        recipes, datasets: whose models are asked about what.
        means: a finer class and the coarser one that it is one of, as glioma is a tumor.
        rounds, seed: of the bootstrap.
    """

    recipes: tuple[str, ...]
    datasets: tuple[str, ...]
    means: Mapping[str, str]
    rounds: int
    seed: int


class Translation(NamedTuple):
    """Labels of a data set in the terms of `classes` (missing where there is none), and the model's classes alike."""

    classes: tuple[str, ...]
    labels: "pd.Series[str]"
    member: tuple[int, ...]

    def join(self, probabilities: Floats) -> Floats:
        """(N, classes of the model) → (N, classes): the probabilities of finer classes are added up."""
        joined = np.zeros((len(probabilities), len(self.classes)))
        for k, place in enumerate(self.member):
            joined[:, place] += probabilities[:, k]
        return joined


def translate(classes: Sequence[str], labels: "pd.Series[str]", means: Mapping[str, str]) -> Translation | None:
    """Find common terms: the model's own classes if they name every label, else the coarser ones of both.

    None if fewer than two are common.
    """
    if set(labels) <= set(classes):
        own = tuple(classes)
        return Translation(own, labels, tuple(range(len(own))))
    coarse = [means.get(label, label) for label in classes]
    common = tuple(dict.fromkeys(coarse))
    mapped = labels.map(lambda label: means.get(label, label))
    mapped = mapped.where(mapped.isin(common))
    if mapped.nunique() < 2:
        return None
    return Translation(common, mapped, tuple(common.index(name) for name in coarse))
