"""Reading the project's own CSV tables."""

from collections.abc import Collection
from pathlib import Path
from typing import IO

import pandas as pd


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
