"""Compare the recipes of the cross-validation that have the same data, fold by fold."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd

from brain_tumor.outputs import staged, write_csv
from brain_tumor.params import read
from brain_tumor.repeats import arrays, classes_of, corrected_interval, corrected_t_test, holm, mcnemar, predictions
from stage import PARAMS, guarded

COLUMNS = ("folds", "difference", "low", "high", "p_corrected_t", "pictures", "p_mcnemar")
Runs = dict[str, pd.DataFrame]


def main() -> None:
    """Write the difference of accuracies of each pair of recipes, its interval, and the p of paired tests."""
    recipes = [recipe["name"] for recipe in read(PARAMS, "crossval.recipes", list[dict[str, str]])]
    repeats, folds = (read(PARAMS, f"crossval.{key}", tuple[int, ...]) for key in ("repeats", "folds"))
    names = [f"{repeat}-{fold}" for repeat in repeats for fold in folds]
    runs = {recipe: predictions(Path(f"data/crossval/{recipe}"), names) for recipe in recipes}
    pairs = [pair for pair in itertools.combinations(recipes, 2) if _same_images(*(runs[one] for one in pair))]
    found = [compare(runs[one], runs[other], repeats[0]) for one, other in pairs]
    adjusted = holm([line["p_corrected_t"] for line in found])
    table = pd.DataFrame(pairs, columns=["first", "second"]).join(pd.DataFrame(found, columns=list(COLUMNS)))
    with staged("metrics/crossval/comparisons.csv") as (draft,):
        write_csv(draft, table.assign(p_holm=adjusted), digits=4)


def compare(first: Runs, second: Runs, repeat: int) -> dict[str, float]:
    """Two recipes on the same folds.

    McNemar's test takes one repeat, which tests each image once, and one image a group: copies are no new evidence.
    """
    differences, ratios, once = [], [], []
    for name, table in first.items():
        other = second[name].assign(right=_right(second[name]))[["path", "right"]]
        pair = table.assign(right=_right(table)).merge(other, on="path", validate="1:1", suffixes=("_first", "_second"))
        differences.append(pair["right_first"].mean() - pair["right_second"].mean())
        ratios.append(len(pair) / int(table["trained"].iloc[0]))
        if name.startswith(f"{repeat}-"):
            once.append(pair.sort_values("path").drop_duplicates("group"))
    values, ratio = np.array(differences), float(np.mean(ratios))
    low, high = corrected_interval(values, ratio)
    found = {"folds": len(values), "difference": values.mean(), "low": low, "high": high}
    hits = pd.concat(once)
    p = mcnemar(hits["right_first"].to_numpy(bool), hits["right_second"].to_numpy(bool))
    return found | {"p_corrected_t": corrected_t_test(values, ratio), "pictures": len(hits), "p_mcnemar": p}


def _same_images(first: Runs, second: Runs) -> bool:
    return all(set(first[name]["path"]) == set(second[name]["path"]) for name in first)


def _right(table: pd.DataFrame) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    truth, probabilities = arrays(table, classes_of(table))
    return np.asarray(probabilities.argmax(1) == truth)


if __name__ == "__main__":
    guarded(main)
