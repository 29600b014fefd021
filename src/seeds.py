"""Sum up how far a recipe's figures move with its seed alone."""

import logging
from pathlib import Path

import pandas as pd

from brain_tumor.outputs import staged, write_csv, write_json
from brain_tumor.params import read
from brain_tumor.repeats import figures_of, predictions
from stage import PARAMS, run

log = logging.getLogger(__name__)
SPREAD = ("accuracy", "macro_f1", "auroc", "ece")


def main(name: str) -> None:
    """Write mean, standard deviation and range over seeds, on all test rows and on the clean ones."""
    classes = read(PARAMS, f"recipes.{name}.classes", tuple[str, ...])
    dataset = read(PARAMS, f"recipes.{name}.dataset", str)
    generated = read(PARAMS, f"datasets.{dataset}.about.generated", bool)
    seeds = read(PARAMS, "seeds.values", tuple[int, ...])
    lines = []
    for seed, table in predictions(Path(f"data/seeds/{name}"), [str(seed) for seed in seeds]).items():
        for subset, chosen in (("published", table), ("clean", table[table["leak"] == ""])):
            if len(chosen):
                line = {"seed": int(seed), "subset": subset, "n": len(chosen)}
                lines.append(line | figures_of(chosen, classes))
    runs = pd.DataFrame(lines)
    found: dict[str, dict[str, float]] = {}
    for subset in dict.fromkeys(runs["subset"]):
        part = runs[runs["subset"] == subset]
        found[subset] = {"n": int(part["n"].iloc[0]), "seeds": len(part), "generated_images": generated}
        for figure in SPREAD:
            values = part[figure]
            spread = {"": values.mean(), "_sd": values.std(), "_lowest": values.min(), "_highest": values.max()}
            found[subset] |= {f"{figure}{end}": float(value) for end, value in spread.items()}
    with staged(f"metrics/{name}/seeds.json", f"plots/{name}/seeds.csv") as (metrics, curve):
        write_json(metrics, found, digits=4)
        write_csv(curve, runs.round(4))
    for subset, numbers in found.items():
        log.info("%s, %s: accuracy %.4f ± %.4f", name, subset, numbers["accuracy"], numbers["accuracy_sd"])


if __name__ == "__main__":
    run(main, "recipe")
