"""Metrics of a finished evaluation, looked up by name."""

import csv
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from brain_tumor.core.subsets import CLEAN, LEAK_TYPES, MODEL, PATIENT_MEAN, PUBLISHED, UNCALIBRATED
from brain_tumor.core.tables import read_table
from brain_tumor.metrics.bootstrap import KEY_COLUMNS, Estimate

NUMBERS = ("n", "value", "low", "high")
LEAK = "leak"  # in the column `attribute`: subsets by type of leakage


class Key(NamedTuple):
    """Subject of a row of metrics.csv, in the order of `KEY_COLUMNS`."""

    model: str
    reference: str
    subset: str
    reference_subset: str
    attribute: str
    attribute_value: str
    label: str
    metric: str


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read the rows of a CSV file as text, as they are printed."""
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


class Results:
    """The metrics that `evaluate` writes, by model, subset, attribute, class and metric."""

    def __init__(self, table: pd.DataFrame) -> None:
        """Index a table with the columns of `bootstrap_metrics`; a missing key column counts as empty.

        Metrics that are not defined are left out.
        """
        table = table[table["value"].notna()]
        keys = table.reindex(columns=list(KEY_COLUMNS)).astype(object).fillna("").astype(str)
        self._estimates = {
            Key(*key): Estimate(float(value), float(low), float(high), int(n))
            for key, (value, low, high, n) in zip(
                keys.itertuples(index=False),
                table[["value", "low", "high", "n"]].itertuples(index=False),
                strict=True,
            )
        }

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Read metrics.csv."""
        return cls(read_table(path, numbers=NUMBERS))

    def get(
        self,
        metric: str,
        subset: str = PUBLISHED,
        model: str = MODEL,
        label: str = "",
        *,
        attribute: str = "",
        value: str = "",
        reference: str = "",
        reference_subset: str = "",
    ) -> Estimate | None:
        """Look a metric up; None if it was not measured or is not defined.

        Args:
            metric: its name, as `macro_f1`.
            subset: `published`, `clean`, or another part of the split.
            model: `model`, `uncalibrated`, `patient mean`, or a baseline.
            label: a class, '' for all classes together.
            attribute, value: restrict the subset to rows with this value, as `plane` and `axial`.
            reference: instead of the metric, its difference: `model` minus this model.
            reference_subset: instead of the metric, its difference: `subset` minus this subset.
        """
        key = Key(model, reference, subset, reference_subset, attribute, value, label, metric)
        return self._estimates.get(key)

    def n(self, subset: str = PUBLISHED, attribute: str = "", value: str = "") -> int:
        """Return the number of rows of a subset."""
        accuracy = self.get("accuracy", subset, attribute=attribute, value=value)
        return accuracy.n if accuracy else 0

    def class_counts(self, subset: str = PUBLISHED) -> dict[str, int]:
        """Return the number of rows of each class in a subset."""
        own = (MODEL, "", subset, "", "", "")
        return {
            key.label: one.n
            for key, one in self._estimates.items()
            if key[:6] == own and key.metric == "recall" and key.label
        }

    def leading_subset(self) -> str:
        """Return the subset for comparisons with baselines: the clean rows, or all where none is clean."""
        return CLEAN if self.n(CLEAN) else PUBLISHED

    def count_leaks(self) -> dict[str, int]:
        """Return the number of leaking test rows by type of leakage."""
        return {leak: self.n(attribute=LEAK, value=leak) for leak in LEAK_TYPES}

    def accuracy_by_leak(self) -> dict[str, Estimate]:
        """Return the accuracy by type of leakage and on the clean rows (CLEAN); types without rows are left out."""
        accuracies = {leak: self.get("accuracy", attribute=LEAK, value=leak) for leak in LEAK_TYPES}
        accuracies[CLEAN] = self.get("accuracy", CLEAN)
        return {leak: accuracy for leak, accuracy in accuracies.items() if accuracy}

    def baselines(self, subset: str = PUBLISHED) -> list[str]:
        """Return the names of the baselines."""
        names = dict.fromkeys(key.model for key in self._estimates if key.subset == subset)
        return [name for name in names if name not in (MODEL, UNCALIBRATED, PATIENT_MEAN)]

    def subgroups(self) -> list[tuple[str, str]]:
        """Return attribute and value of each subgroup of the test rows, as ('plane', 'axial')."""
        pairs = dict.fromkeys(
            (key.attribute, key.attribute_value) for key in self._estimates if key.subset == PUBLISHED
        )
        return [(attribute, value) for attribute, value in pairs if attribute not in ("", LEAK)]
