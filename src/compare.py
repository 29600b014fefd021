"""Compare the recipes of the cross-validation that have the same data, fold by fold."""

import itertools
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from brain_tumor.outputs import staged, write_csv
from brain_tumor.params import read
from brain_tumor.repeats import corrected_interval, corrected_t_test, holm, mcnemar
from stage import PARAMS, guarded

log = logging.getLogger(__name__)
COLUMNS = ("folds", "difference", "low", "high", "p_corrected_t", "p_mcnemar")


def main() -> None:
    """Write the difference of accuracies of each pair of recipes, its interval, and the p of paired tests."""
    folders = sorted(Path("data/crossval").iterdir())
    sets = {path.name: read(PARAMS, f"recipes.{path.name}.dataset", str) for path in folders}
    pairs = [(one, other) for one, other in itertools.combinations(sets, 2) if sets[one] == sets[other]]
    found = [compare(*pair) for pair in pairs]
    adjusted = holm([line["p_corrected_t"] for line in found])
    table = pd.DataFrame(pairs, columns=["first", "second"]).join(pd.DataFrame(found, columns=list(COLUMNS)))
    with staged("metrics/crossval/comparisons.csv") as (draft,):
        write_csv(draft, table.assign(p_holm=adjusted), digits=4)


def compare(first: str, second: str) -> dict[str, float]:
    """Two recipes on the folds that both have; McNemar's test on the first repeat, which has each image once."""
    differences, ratios, once = [], [], []
    for path in sorted(Path(f"data/crossval/{first}").glob("*.csv")):
        other = Path(f"data/crossval/{second}") / path.name
        if other.exists():
            tables = [pd.read_csv(file, dtype=str, keep_default_na=False).sort_values("path") for file in (path, other)]
            hits = [_right(table) for table in tables]
            differences.append(hits[0].mean() - hits[1].mean())
            ratios.append(len(hits[0]) / int(tables[0]["trained"].iloc[0]))
            if path.stem.startswith("0-"):
                once.append(np.stack(hits))
    values, ratio = np.array(differences), float(np.mean(ratios))
    low, high = corrected_interval(values, ratio)
    found = {"folds": len(values), "difference": values.mean(), "low": low, "high": high}
    return found | {"p_corrected_t": corrected_t_test(values, ratio), "p_mcnemar": mcnemar(*np.concatenate(once, 1))}


def _right(table: pd.DataFrame) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    columns = [column for column in table if str(column).startswith("p_")]
    classes = np.array([str(column).removeprefix("p_") for column in columns])
    predicted = classes[table[columns].astype(float).to_numpy().argmax(1)]
    return np.asarray(predicted == table["label"].to_numpy(str))


if __name__ == "__main__":
    guarded(main)
