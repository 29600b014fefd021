"""Train–test leakage: how each test image is related to the images that a model was trained on."""

import numpy as np
import pandas as pd

from brain_tumor.core.subsets import LEAK_TYPES


def leak_type(test: pd.DataFrame, train: pd.DataFrame) -> "pd.Series[str]":
    """Find the closest relation of each test row to any training row.

    Args:
        test, train: with the audit's columns duplicate_id, orientation and group.

    Returns:
        For each test row the first of these that holds, '' if none does (the row is clean):
            `duplicate`: a duplicate in the same orientation.
            `transformed_duplicate`: a duplicate, mirrored or rotated.
            `same_group`: another image of the group: an adjacent slice, or an image of the same patient.
    """
    oriented = set(zip(train["duplicate_id"], train["orientation"], strict=True))
    is_duplicate = [pair in oriented for pair in zip(test["duplicate_id"], test["orientation"], strict=True)]
    is_transformed = test["duplicate_id"].isin(set(train["duplicate_id"]))
    is_same_group = test["group"].isin(set(train["group"]))
    leaks = np.select([is_duplicate, is_transformed, is_same_group], LEAK_TYPES, "")
    return pd.Series(leaks, test.index, dtype=str)
