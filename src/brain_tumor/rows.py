"""The rows of a recipe: which image, which class, which part of the split."""

from pathlib import Path

import pandas as pd


def read_rows(enhanced: Path, split: Path, *parts: str) -> pd.DataFrame:
    """Read a recipe's rows with their part, group and leak, for the parts asked for.

    Text stays text: a class may be called `no` or `NA`. `row` is the place in images.npy.
    """
    text = {"label": str, "path": str, "split": str, "patient": str, "mask": str, "plane": str, "group": str}
    text |= dict.fromkeys(("leak", "fold", "box", "site", "age", "sex"), str)
    tables = [pd.read_csv(path, dtype=text, keep_default_na=False) for path in (enhanced / "rows.csv", split)]
    rows = tables[0].merge(tables[1], on="row", validate="1:1")
    return rows[rows["part"].isin(parts)].reset_index(drop=True)
