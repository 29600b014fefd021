"""Predictions for the test rows, and where they contradict the labels."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from brain_tumor.core.tables import class_indices, is_clean, probability_columns
from brain_tumor.core.types import Floats, Ints, Masks
from brain_tumor.evaluation.probabilities import TestProbabilities
from brain_tumor.metrics.bootstrap import ResamplingUnits

COPIED_COLUMNS = ("source_label", "site", "age", "sex")  # to the table of predictions, if the data set has them


class TestPredictions(NamedTuple):
    """Predictions for the test rows.

    Attributes:
        rows: table of N rows: row, path, label, group, leak; patient, plane, site, age, sex, width, height if known.
        truth: (N,) true class numbers.
        uncalibrated, calibrated: probabilities (N, K) before and after temperature scaling.
    """

    rows: pd.DataFrame
    truth: Ints
    uncalibrated: Floats
    calibrated: Floats

    @property
    def clean(self) -> Masks:
        """(N,) rows without any related image in training or validation."""
        return is_clean(self.rows)

    @property
    def units(self) -> ResamplingUnits:
        """Groups; clean and other rows of a class are resampled separately, so that their numbers stay the same."""
        strata = [f"{number} {clean}" for number, clean in zip(self.truth, self.clean, strict=True)]
        return ResamplingUnits(self.truth, self.rows["group"].tolist(), strata)

    def corrected_truth(self, classes: Sequence[str]) -> Ints | None:
        """Return (N,) true classes with the label of the source where it is known; None if it never differs."""
        if "source_label" not in self.rows:
            return None
        known = self.rows["source_label"].isin(classes)
        corrected = class_indices(self.rows["source_label"].where(known, self.rows["label"]), classes)
        return corrected if (corrected != self.truth).any() else None

    def probabilities(self) -> TestProbabilities:
        """Return what is saved in full precision."""
        return TestProbabilities(self.rows["row"].to_numpy(np.int64), self.truth, self.uncalibrated, self.calibrated)

    def table(self, classes: Sequence[str], baselines: Mapping[str, Floats]) -> pd.DataFrame:
        """Return what the metrics can be computed from again.

        Args:
            classes: names of the K classes.
            baselines: probabilities (N, K) by name.

        Returns:
            row, path, label, predicted class, leak; label of the source and subgroup columns, if known; calibrated
            probabilities; the class predicted by each baseline.
        """
        predicted = [classes[k] for k in self.calibrated.argmax(1)]
        table = self.rows[["row", "path", "label"]].assign(predicted=predicted, leak=self.rows["leak"])
        for column in COPIED_COLUMNS:
            if column in self.rows and (self.rows[column] != "").any():
                table[column] = self.rows[column]
        table[probability_columns(classes)] = self.calibrated
        return table.assign(
            **{name: [classes[k] for k in probabilities.argmax(1)] for name, probabilities in baselines.items()}
        )


def find_label_issues(rows: pd.DataFrame, truth: Ints, probabilities: Floats, classes: Sequence[str]) -> pd.DataFrame:
    """Find possible label errors by confident learning (Northcutt et al. 2021).

    Returns:
        Rows that the model assigns to another class with at least its mean confidence in that class on rows labeled as
        such: row, path, label, suggested class, p_label, p_suggested; the lowest p_label first.
    """
    self_confidence = [probabilities[truth == k, k] for k in range(len(classes))]
    thresholds = np.array([values.mean() if len(values) else np.inf for values in self_confidence])
    predicted = probabilities.argmax(1)
    issues = np.flatnonzero((predicted != truth) & (probabilities.max(1) >= thresholds[predicted]))
    table = rows.iloc[issues][["row", "path", "label"]].assign(
        suggested=[classes[k] for k in predicted[issues]],
        p_label=probabilities[issues, truth[issues]].round(4),
        p_suggested=probabilities.max(1)[issues].round(4),
    )
    return table.sort_values(["p_label", "row"], ignore_index=True)
