"""Train a recipe again for a study: on a fold, from another seed, or with its author's protocol."""

import argparse
from pathlib import Path

import numpy as np

from brain_tumor.core.cli import PARAMS, SCRATCH, run_cli
from brain_tumor.core.outputs import atomic_outputs, write_csv
from brain_tumor.core.params import read_params
from brain_tumor.models.samples import read_split
from brain_tumor.splits.split import PARTS
from brain_tumor.studies.params import CrossvalParams
from brain_tumor.studies.retrain import assign_fold, retrain
from brain_tumor.training.recipe import read_training_config


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="the recipe of params.yaml to train")
    modes = parser.add_subparsers(dest="mode", required=True)
    fold = modes.add_parser("fold", help="a fold of cross-validation: groups stay whole")
    fold.add_argument("repeat", type=int)
    fold.add_argument("fold", type=int)
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
    if args.mode == "fold":
        params = read_params(PARAMS, "crossval", CrossvalParams)
        rows["part"] = assign_fold(rows, params, args.repeat, args.fold)
        rows["leak"] = ""  # not that of the recipe's own split: groups stay whole, so that all test rows are clean
        path = f"data/crossval/{args.name}/{args.repeat}-{args.fold}.csv"
    elif args.mode == "seed":
        recipe = recipe._replace(train=recipe.train.model_copy(update={"seed": args.seed}))
        path = f"data/seeds/{args.name}/{args.seed}.csv"
    else:
        rows["part"] = rows["part"].where(rows["part"] != "validation", "train")
        path = f"data/protocol/{args.name}.csv"
    predictions = retrain(recipe, images, rows, args.mode == "protocol", SCRATCH / Path(path).with_suffix(""))
    if predictions is not None:
        with atomic_outputs(path) as (tmp_path,):
            write_csv(tmp_path, predictions)


if __name__ == "__main__":
    run_cli(main)
