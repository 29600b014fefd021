"""The project's own tables: reading them, and what their columns mean."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from brain_tumor.core.types import Ints, Masks


def read_table(file: str | Path | IO[bytes], numbers: Collection[str] = (), text: Collection[str] = ()) -> pd.DataFrame:
    """Read a CSV table of this project; text stays text, since a class may be called `no` or `NA`.

    Args:
        file: the CSV file, its path or an open file.
        numbers: columns of numbers, an empty cell being NaN; all others are text, an empty cell being ''.
        text: columns of text; the types of all others are inferred from their cells, and an empty cell makes a column
            text. If given, `numbers` is not used.
    """
    if text:
        return pd.read_csv(file, dtype=dict.fromkeys(text, str), keep_default_na=False)
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    for column in numbers:
        table[column] = pd.to_numeric(table[column])
    return table


def is_clean(rows: pd.DataFrame) -> Masks:
    """Return which rows (N,) are clean: their patient is known, and has no image outside the test rows.

    Args:
        rows: with the column `leak` of a split, see `splits.leakage.leak_type`.
    """
    return (rows["leak"] == "").to_numpy(bool)


def class_indices(labels: Iterable[str], classes: Sequence[str]) -> Ints:
    """Return the index (N,) of each label in the K classes.

    Raises:
        ValueError: a label is not among the classes.
    """
    return np.array([classes.index(label) for label in labels], np.int64)


def probability_columns(classes: Sequence[str]) -> list[str]:
    """Return the names of the columns that hold the probabilities of the K classes in tables of predictions."""
    return [f"p_{label}" for label in classes]
