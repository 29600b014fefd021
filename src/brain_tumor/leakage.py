"""What of a test image a model has seen: the image itself, its mirror image, or something near it."""

import numpy as np
import pandas as pd

LEAKS = ("copy", "mirrored", "related")


def leaks(test: pd.DataFrame, learned: pd.DataFrame) -> "pd.Series[str]":
    """What of each test row is among the learned rows: '', or the first that holds of these.

    `copy`: the same picture as it is; `mirrored`: the same picture, mirrored or rotated only; `related`:
    another image of its group (an adjacent slice, the same patient).
    """
    pictures = set(learned["copies"])
    as_it_is = set(zip(learned["copies"], learned["orientation"], strict=True))
    upright = [pair in as_it_is for pair in zip(test["copies"], test["orientation"], strict=True)]
    found = np.select(
        [upright, test["copies"].isin(pictures), test["group"].isin(set(learned["group"]))],
        ["copy", "mirrored", "related"],
        "",
    )
    return pd.Series(found, test.index, dtype=str)
