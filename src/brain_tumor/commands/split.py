"""`brain-tumor split`: divide images into parts or folds that have nothing in common."""

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from brain_tumor.audit.summary import log_summary, summarize_audit
from brain_tumor.commands.cached_audit import audit_once
from brain_tumor.commands.inputs import (
    SOURCE_HELP,
    ReadOptions,
    add_read_options,
    name_files,
    open_inputs,
    parse_read_options,
)
from brain_tumor.commands.out_paths import check_out_table
from brain_tumor.commands.run_command import run_command
from brain_tumor.core.errors import UserError
from brain_tumor.core.outputs import atomic_outputs, write_csv
from brain_tumor.studies.image_lists import assign_folds, find_reasons

log = logging.getLogger(__name__)
COLUMNS = ["path", "label", "patient", "group"]
TEST_FRACTION = 0.2
MAX_SEED = 2**32 - 1  # of NumPy and scikit-learn
NO_LABEL = "no label"
DESCRIPTION = f"""
Divide images into training, validation and test parts, or into folds of a cross-validation. What belongs together stays
together: duplicates, adjacent slices, and images of one patient or series. Classes have about the same share in each
part. The same images give the same split, whatever their names and order.

Unreadable and blank images, and duplicates with different labels, are in no part; a column names the reason.
{SOURCE_HELP}"""


def main(argv: Sequence[str] | None = None) -> int:
    """Split the images that the command line names.

    Args:
        argv: the arguments after `brain-tumor split`; those of the process if None.

    Returns:
        0 if the images were split. After an error the process exits with code 1.
    """
    parser = argparse.ArgumentParser(
        prog="brain-tumor split", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, nargs="+", help="folder, archive or table; nothing in it is changed")
    parser.add_argument("--out", type=Path, required=True, help="CSV file to write: path, label, patient, group, split")
    parser.add_argument("--test", type=float, help=f"fraction of each class (default: {TEST_FRACTION})")
    parser.add_argument("--validation", type=float, help="fraction of each class (default: 0)")
    parser.add_argument("--folds", type=int, help="number of folds, instead of parts: the CSV file has a column fold")
    parser.add_argument("--seed", type=int, default=0, help="of the random assignment (default: %(default)s)")
    add_read_options(parser)
    args = parser.parse_args(argv)
    options = parse_read_options(args, parser)
    if not 0 <= args.seed <= MAX_SEED:
        parser.error(f"--seed must be from 0 to {MAX_SEED}")
    params: dict[str, str | float]
    if args.folds is None:
        test = TEST_FRACTION if args.test is None else args.test
        params = {"strategy": "fraction", "test": test, "validation": args.validation or 0.0, "seed": args.seed}
    elif args.test is None and args.validation is None:
        params = {"strategy": "kfold", "folds": args.folds, "fold": 0, "validation": 0.0, "seed": args.seed}
    else:
        parser.error("--folds goes without --test and --validation")
    run_command(lambda: split_sources(args.source, args.out, options, params))
    return 0


def split_sources(sources: Sequence[Path], out: Path, options: ReadOptions, params: dict[str, str | float]) -> None:
    """Audit and split images, and write the split.

    Args:
        sources: folders, archives and tables; patients of the same name in several of them are the same.
        out: CSV file for the split.
        options: how the sources are read.
        params: see `SplitParams`; with the strategy `kfold` the images are divided into all folds.

    Raises:
        UserError: a source that cannot be read, invalid parameters, or too few images or groups for the split.
    """
    from brain_tumor.splits.split import SplitParams, split_rows  # imports scikit-learn: not for --help

    try:
        checked = SplitParams.model_validate(params)
    except ValidationError as error:
        raise UserError("; ".join(map(_describe_invalid, error.errors()))) from None
    check_out_table(out, sources)
    with open_inputs(sources, options, shared_patients=True) as inputs:
        table, links = audit_once(inputs.index, inputs.images.read, "split", options.use_cache)
    log_summary("split", table, summarize_audit(table, links))
    result = table[COLUMNS].assign(reason=find_reasons(table))
    usable = table[result["reason"] == ""]
    if usable.empty:
        counts = ", ".join(f"{count} × {reason}" for reason, count in result["reason"].value_counts().items())
        raise UserError(f"no image can be used: {counts}")
    usable = usable.assign(label=usable["label"].replace("", NO_LABEL))  # images without a label are a class
    column = "split" if checked.folds is None else "fold"
    result[column] = split_rows(usable, checked)["part"] if checked.folds is None else assign_folds(usable, checked)
    result[column] = result[column].fillna("")
    with atomic_outputs(out) as (path,):
        write_csv(path, name_files(result, inputs))
    log.info("written: %s", out)
    log.info("%s", pd.crosstab(result[column].replace("", "none"), result["label"].replace("", NO_LABEL)).to_string())


def _describe_invalid(error: Mapping[str, Any]) -> str:
    """Return what is wrong with an option, from an error of pydantic."""
    name = "".join(f"--{part}: " for part in error["loc"])
    return name + str(error["msg"]).removeprefix("Value error, ")
