"""Train–test leakage: how each test image is related to training and validation images."""

import numpy as np
import pandas as pd

from brain_tumor.core.subsets import LEAK_TYPES


def leak_type(test: pd.DataFrame, fit_rows: pd.DataFrame) -> "pd.Series[str]":
    """Find the closest relation of each test row to any training or validation row.

    Args:
        test: the test rows, with the audit's columns duplicate_id, orientation and group.
        fit_rows: the training and validation rows, with the same columns.

    Returns:
        For each test row the first of these that holds, '' if none does (the row is clean):
            `duplicate`: a duplicate in the same orientation.
            `transformed_duplicate`: a duplicate, mirrored or rotated.
            `same_group`: another image of the group: an adjacent slice, or an image of the same patient.
    """
    oriented = set(zip(fit_rows["duplicate_id"], fit_rows["orientation"], strict=True))
    is_duplicate = [pair in oriented for pair in zip(test["duplicate_id"], test["orientation"], strict=True)]
    is_transformed = test["duplicate_id"].isin(set(fit_rows["duplicate_id"]))
    is_same_group = test["group"].isin(set(fit_rows["group"]))
    leaks = np.select([is_duplicate, is_transformed, is_same_group], LEAK_TYPES, "")
    return pd.Series(leaks, test.index, dtype=str)
