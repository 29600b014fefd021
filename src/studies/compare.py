"""Compare the recipes of the cross-validation that have the same data, fold by fold."""

import itertools
from pathlib import Path

import pandas as pd

from brain_tumor.core.cli import PARAMS, run_cli
from brain_tumor.core.outputs import atomic_outputs, write_csv
from brain_tumor.core.params import read_params
from brain_tumor.studies.comparison import COLUMNS, compare_runs, have_same_images
from brain_tumor.studies.statistics import holm_adjust, read_fold_predictions


def main() -> None:
    """Write the difference of accuracies of each pair of recipes, its interval, and the p of paired tests."""
    recipes = [recipe["name"] for recipe in read_params(PARAMS, "crossval.recipes", list[dict[str, str]])]
    repeats, folds = (read_params(PARAMS, f"crossval.{key}", tuple[int, ...]) for key in ("repeats", "folds"))
    runs = {recipe: read_fold_predictions(Path(f"data/crossval/{recipe}"), repeats, folds) for recipe in recipes}
    pairs = [
        (first, second)
        for first, second in itertools.combinations(recipes, 2)
        if have_same_images(runs[first], runs[second])
    ]
    comparisons = [compare_runs(runs[first], runs[second], repeats[0]) for first, second in pairs]
    adjusted = holm_adjust([comparison["p_corrected_t"] for comparison in comparisons])
    table = pd.DataFrame(pairs, columns=["first", "second"])
    table = table.join(pd.DataFrame(comparisons, columns=list(COLUMNS)))
    with atomic_outputs("metrics/crossval/comparisons.csv") as (path,):
        write_csv(path, table.assign(p_holm=adjusted), digits=4)


if __name__ == "__main__":
    run_cli(main)
