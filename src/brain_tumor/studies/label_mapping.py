"""Common classes of a model and of another data set."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from brain_tumor.core.params import Block
from brain_tumor.core.types import Floats


class ExternalParams(Block):
    """`external`.

    Attributes:
        recipes: whose models are evaluated.
        datasets: that they are evaluated on.
        superclasses: coarser class of a class, as tumor of glioma.
        rounds, seed: of the bootstrap.
    """

    recipes: tuple[str, ...]
    datasets: tuple[str, ...]
    superclasses: Mapping[str, str]
    rounds: int
    seed: int


class LabelMapping(NamedTuple):
    """Labels of a data set and classes of a model, both mapped to common classes.

    Attributes:
        classes: the K common classes.
        labels: labels of the data set's rows; missing where the model has no corresponding class.
        indices: index of the common class of each class of the model.
    """

    classes: tuple[str, ...]
    labels: "pd.Series[str]"
    indices: tuple[int, ...]

    def merge_probabilities(self, probabilities: Floats) -> Floats:
        """Add up the probabilities (N, classes of the model) of finer classes: (N, K)."""
        merged = np.zeros((len(probabilities), len(self.classes)))
        for k, index in enumerate(self.indices):
            merged[:, index] += probabilities[:, k]
        return merged


def map_labels(
    classes: Sequence[str], labels: "pd.Series[str]", superclasses: Mapping[str, str]
) -> LabelMapping | None:
    """Find common classes: the model's own if every label is one of them, else the superclasses of both.

    Args:
        classes: classes of the model.
        labels: labels of the data set's rows.
        superclasses: superclass by class.

    Returns:
        None if fewer than two common classes occur.
    """
    if set(labels) <= set(classes):
        return LabelMapping(tuple(classes), labels, tuple(range(len(classes))))
    coarse = [superclasses.get(label, label) for label in classes]
    common = tuple(dict.fromkeys(coarse))
    mapped = labels.map(lambda label: superclasses.get(label, label))
    mapped = mapped.where(mapped.isin(common))
    if mapped.nunique() < 2:
        return None
    return LabelMapping(common, mapped, tuple(common.index(name) for name in coarse))
