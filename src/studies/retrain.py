"""Train a recipe again for a study: on folds, by patients, from another seed, or with its author's protocol."""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from brain_tumor.core.cli import PARAMS, SCRATCH, run_cli
from brain_tumor.core.outputs import atomic_outputs, remove, write_csv
from brain_tumor.core.params import read_params
from brain_tumor.models.samples import read_split
from brain_tumor.splits.split import PARTS
from brain_tumor.studies.params import CrossvalParams, PatientsParams
from brain_tumor.studies.retrain import assign_fold, assign_patient_fold, retrain
from brain_tumor.training.recipe import read_training_config

Train = Callable[[pd.DataFrame], pd.DataFrame | None]


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="the recipe of params.yaml to train")
    modes = parser.add_subparsers(dest="mode", required=True)
    repeat = modes.add_parser("repeat", help="all folds of a repeat of cross-validation: groups stay whole")
    repeat.add_argument("repeat", type=int)
    fold = modes.add_parser("patients", help="a fold of the cross-validation by patients")
    fold.add_argument("fold")
    seed = modes.add_parser("seed", help="the recipe's own split, from another seed")
    seed.add_argument("seed", type=int)
    modes.add_parser("protocol", help="all training rows, and the epoch that is best on the test rows")
    return parser.parse_args()


def main() -> None:
    """Train in the mode that the command line names, and write the predictions of the test rows."""
    args = parse_arguments()
    recipe, folder = read_training_config(args.name), Path(f"data/enhanced/{args.name}")
    rows = read_split(folder, Path(f"data/split/{args.name}.csv"), *PARTS)
    images = np.load(folder / "images.npy", mmap_mode="r")
    path = output_path(args)
    scratch = SCRATCH / Path(path).with_suffix("")
    if args.mode == "seed":
        recipe = recipe._replace(train=recipe.train.model_copy(update={"seed": args.seed}))

    def train(table: pd.DataFrame) -> pd.DataFrame | None:
        return retrain(recipe, images, table, args.mode == "protocol", scratch)

    predictions = train_repeat(rows, args.repeat, train) if args.mode == "repeat" else train(select_rows(rows, args))
    if predictions is not None:
        with atomic_outputs(path) as (tmp_path,):
            write_csv(tmp_path, predictions)
        remove(scratch)


def output_path(args: argparse.Namespace) -> str:
    """Return the path of the predictions."""
    return {
        "repeat": lambda: f"data/crossval/{args.name}/{args.repeat}.csv",
        "patients": lambda: f"data/patients/{args.name}/{args.fold}.csv",
        "seed": lambda: f"data/seeds/{args.name}/{args.seed}.csv",
        "protocol": lambda: f"data/protocol/{args.name}.csv",
    }[args.mode]()


def select_rows(rows: pd.DataFrame, args: argparse.Namespace) -> pd.DataFrame:
    """Return the rows with the parts of the mode."""
    if args.mode == "patients":
        return assign_patient_fold(rows, read_params(PARAMS, "patients", PatientsParams), args.fold)
    if args.mode == "protocol":
        return rows.assign(part=rows["part"].where(rows["part"] == "test", "train"))
    return rows


def train_repeat(rows: pd.DataFrame, repeat: int, train: Train) -> pd.DataFrame | None:
    """Train on each fold of a repeat; return the predictions of all test rows, with their `fold`."""
    params = read_params(PARAMS, "crossval", CrossvalParams)
    tables = [train(assign_fold(rows, params, repeat, fold)) for fold in params.folds]
    finished = [table.assign(fold=fold) for fold, table in zip(params.folds, tables, strict=True) if table is not None]
    return pd.concat(finished, ignore_index=True) if finished else None


if __name__ == "__main__":
    run_cli(main)
