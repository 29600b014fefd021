"""Train–test leakage: how each test image is related to training and validation images."""

import numpy as np
import pandas as pd

from brain_tumor.core.subsets import LEAK_TYPES


def leak_type(test: pd.DataFrame, fit_rows: pd.DataFrame) -> "pd.Series[str]":
    """Find the closest relation of each test row to any training, validation or conformal row.

    Args:
        test: the test rows, with the audit's columns duplicate_id, orientation, group, patient, series and fold.
        fit_rows: all other rows of the split, with the same columns.

    Returns:
        For each test row the first of these that holds, '' if none does (the row is clean of patients):
            `duplicate`: a duplicate in the same orientation.
            `transformed_duplicate`: a duplicate, mirrored or rotated.
            `same_group`: another image of the group: an adjacent slice, or an image of the same patient or series.
            `unknown_patient`: no related image was found, but the patient is not known. A series alone does not
                identify a patient, who may have several. It does if it belongs to a fold of its source, which keeps
                patients apart, and no other row of the split has that fold.
    """
    oriented = set(zip(fit_rows["duplicate_id"], fit_rows["orientation"], strict=True))
    is_duplicate = [pair in oriented for pair in zip(test["duplicate_id"], test["orientation"], strict=True)]
    is_transformed = test["duplicate_id"].isin(set(fit_rows["duplicate_id"]))
    is_same_group = test["group"].isin(set(fit_rows["group"]))
    in_fold_of_its_own = (test["series"] != "") & (test["fold"] != "") & ~test["fold"].isin(set(fit_rows["fold"]))
    is_unknown = (test["patient"] == "") & ~in_fold_of_its_own
    leaks = np.select([is_duplicate, is_transformed, is_same_group, is_unknown], LEAK_TYPES, "")
    return pd.Series(leaks, test.index, dtype=str)
