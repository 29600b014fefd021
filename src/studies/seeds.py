"""Summarize how much a recipe's metrics vary if only its seed changes."""

import logging
from pathlib import Path

import pandas as pd

from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs, write_csv, write_json
from brain_tumor.core.params import read_params
from brain_tumor.core.subsets import CLEAN, PUBLISHED
from brain_tumor.core.tables import is_clean
from brain_tumor.studies.statistics import metrics_of_predictions, read_predictions

log = logging.getLogger(__name__)
SUMMARIZED = ("accuracy", "macro_f1", "auroc", "ece")


def main(name: str) -> None:
    """Write mean, standard deviation and range over seeds, for all test rows and for the clean ones."""
    classes = read_params(PARAMS, f"recipes.{name}.classes", tuple[str, ...])
    dataset = read_params(PARAMS, f"recipes.{name}.dataset", str)
    generated = read_params(PARAMS, f"datasets.{dataset}.info.generated", bool)
    seeds = read_params(PARAMS, "seeds.values", tuple[int, ...])
    lines = []
    for seed, table in read_predictions(Path(f"data/seeds/{name}"), [str(seed) for seed in seeds]).items():
        for subset, rows in ((PUBLISHED, table), (CLEAN, table[is_clean(table)])):
            if len(rows):
                line = {"seed": int(seed), "subset": subset, "n": len(rows)}
                lines.append(line | metrics_of_predictions(rows, classes))
    runs = pd.DataFrame(lines)
    summary: dict[str, dict[str, float]] = {}
    for subset in dict.fromkeys(runs["subset"]):
        part = runs[runs["subset"] == subset]
        summary[subset] = {"n": int(part["n"].iloc[0]), "seeds": len(part), "generated_images": generated}
        for metric in SUMMARIZED:
            values = part[metric]
            spread = {"": values.mean(), "_sd": values.std(), "_lowest": values.min(), "_highest": values.max()}
            summary[subset] |= {f"{metric}{end}": float(value) for end, value in spread.items()}
    with atomic_outputs(f"metrics/{name}/seeds.json", f"plots/{name}/seeds.csv") as (metrics, curve):
        write_json(metrics, summary, digits=4)
        write_csv(curve, runs.round(4))
    for subset, numbers in summary.items():
        log.info("%s, %s: accuracy %.4f ± %.4f", name, subset, numbers["accuracy"], numbers["accuracy_sd"])


if __name__ == "__main__":
    run_stage(main, "recipe")
