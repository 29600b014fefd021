"""Figures of a finished evaluation, looked up by name."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from brain_tumor.leakage import LEAKS


class Figure(NamedTuple):
    """A figure with its 95 % interval and the number of rows behind it."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        """As people read it."""
        return f"{self.value:.3f} ({self.low:.3f}–{self.high:.3f})" if self.low == self.low else f"{self.value:.3f}"


class Results:
    """The table of figures that `evaluate` writes: model, subset, class, figure, n, value, low, high."""

    def __init__(self, table: pd.DataFrame) -> None:
        keys = ("model", "subset", "class", "figure")
        table = table[table["value"].notna()].fillna({"class": ""})
        if "wilson_low" in table:
            # Resamples that all agree (every row right) say nothing of how sure that is: Wilson's interval does.
            certain = (table["low"] == table["high"]) & table["wilson_low"].notna()
            low, high = (table[end].where(~certain, table[f"wilson_{end}"]) for end in ("low", "high"))
            table = table.assign(low=low, high=high)
        places = zip(*(table[key] for key in keys), strict=True)
        values = zip(table["value"], table["low"], table["high"], table["n"], strict=True)
        self._found = {
            tuple(map(str, place)): Figure(float(value), float(low), float(high), int(n))
            for place, (value, low, high, n) in zip(places, values, strict=True)
        }

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Read figures.csv."""
        numbers = dict.fromkeys(("value", "low", "high", "wilson_low", "wilson_high"), "")
        return cls(pd.read_csv(path, keep_default_na=False, na_values=numbers))

    def get(self, figure: str, subset: str = "published", model: str = "model", label: str = "") -> Figure | None:
        """Return a figure; None if it is not there or not defined."""
        return self._found.get((model, subset, label, figure))

    def n(self, subset: str = "published") -> int:
        """How many rows a subset has."""
        found = self.get("accuracy", subset)
        return found.n if found else 0

    def leaked(self) -> dict[str, int]:
        """How many test rows leak, by kind."""
        return {kind: self.n(f"leak: {kind}") for kind in LEAKS}

    def models(self) -> list[str]:
        """Everything that was measured on the test rows as the model was: its baselines."""
        names = dict.fromkeys(model for model, subset, _, _ in self._found if subset == "published")
        return [name for name in names if not name.startswith(("model", "uncalibrated"))]

    def subgroups(self) -> list[str]:
        """Subsets of an attribute of the images."""
        names = dict.fromkeys(subset for model, subset, _, _ in self._found if model == "model")
        return [
            name for name in names if ": " in name and not name.startswith("leak: ") and not name.endswith(", clean")
        ]
