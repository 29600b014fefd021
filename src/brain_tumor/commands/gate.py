"""`brain-tumor gate`: fail if something of a test image is in training."""

import argparse
import logging
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from brain_tumor.audit.inspection import ReadFile, read_and_inspect
from brain_tumor.audit.relations import relate_images
from brain_tumor.audit.rules import LEAKS, UNREADABLE
from brain_tumor.commands.cached_audit import audit_once
from brain_tumor.commands.gate_findings import FILES, RULES, UNLISTED, Findings, log_findings, write_findings
from brain_tumor.commands.inputs import (
    SOURCE_HELP,
    Inputs,
    add_read_options,
    is_table,
    open_inputs,
    parse_read_options,
)
from brain_tumor.commands.out_paths import check_out_folder
from brain_tumor.commands.run_command import run_command
from brain_tumor.core.errors import UserError
from brain_tumor.imaging.formats import POINTERS, identify
from brain_tumor.parallel import ordered_map
from brain_tumor.studies.image_lists import look_up, read_lists, relate_listed_images

log = logging.getLogger(__name__)
PASSED, FAILED, ERROR = 0, 1, 2  # exit codes
# Reasons why files are left out, see `local_files.find_problem`, `readers.folder` and `readers.folder_index`.
DEAD_LINK = "a link to a file that does not exist"
NOT_OPENED = re.compile(
    "a file that cannot be read|a folder that cannot be listed|an image file of more than|.* is corrupted |"
    ".* cannot be read: "
)
# The same of files beside a table that it does not list, see `readers.csv_table`.
BESIDE_TABLE = re.compile(
    "not listed in |the table of images|a mask of images|the header of|a header without|a hidden file|a link to|"
    "not a regular file|a file that cannot be read|a folder that cannot be listed"
)
DESCRIPTION = f"""
Check that no test image has anything in common with the training images: the same bytes or pixels, the same slice
rescaled, re-encoded, mirrored or rotated, an adjacent slice, the same patient or series.

    brain-tumor gate --train DATA/train --test DATA/test
    brain-tumor gate --table split.csv        # with the columns path and split (train or test) and, if known, patient
    brain-tumor gate --table split.csv --lists lists     # by content hashes, without an audit

The exit code is 0 if nothing was found, 1 if more was found than --allow permits, and 2 after an error.

Rules:
{chr(10).join(f"  {rule.id:14} {rule.title}" for rule in RULES)}
{SOURCE_HELP}"""


def main(argv: Sequence[str] | None = None) -> int:
    """Compare the training and test images that the command line names.

    Args:
        argv: the arguments after `brain-tumor gate`; those of the process if None.

    Returns:
        PASSED, FAILED or ERROR; an error that nobody foresaw is an ERROR too.
    """
    parser = argparse.ArgumentParser(
        prog="brain-tumor gate", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", type=Path, nargs="+", metavar="SOURCE", help="sources of the training images")
    parser.add_argument("--test", type=Path, nargs="+", metavar="SOURCE", help="sources of the test images")
    parser.add_argument(
        "--table", type=Path, metavar="SOURCE", help="one source that names the split of its images, instead of both"
    )
    parser.add_argument("--out", type=Path, help=f"folder to write {', '.join(FILES)} to")
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="RULE[=N]",
        help="permit N findings of a rule, or any number; may be repeated",
    )
    parser.add_argument(
        "--lists",
        type=Path,
        nargs="+",
        metavar="LIST",
        help="lists of images, or folders of lists: look images up there",
    )
    add_read_options(parser)
    args = parser.parse_args(argv)
    if (args.table is None) == (args.train is None) or (args.train is None) != (args.test is None):
        parser.error("name --train and --test, or --table alone")
    options, passed = parse_read_options(args, parser), []

    def run() -> None:
        allowed = parse_allowed(args.allow)
        lists = read_lists(args.lists) if args.lists else None
        sources = [args.table] if args.table else [*args.train, *args.test]
        if args.out:
            check_out_folder(args.out, FILES, [*sources, *(args.lists or [])])
        with open_inputs(sources, options, shared_patients=True) as inputs:
            sides = inputs.index["split"] if args.table else name_sides(inputs, len(args.train))
            findings = find_leaks(inputs, sides, allowed, lists, options.use_cache)
        if args.out:
            write_findings(args.out, findings, inputs)
        log_findings(findings)
        passed.append(not any(findings.is_broken(rule.id) for rule in RULES))

    try:
        run_command(run)
    except SystemExit as error:
        if isinstance(error.code, int):
            return error.code
        print(error.code, file=sys.stderr)
        return ERROR
    except Exception:  # Python's own exit code would be that of a leak
        traceback.print_exc()
        return ERROR
    return PASSED if passed[0] else FAILED


def parse_allowed(options: Sequence[str]) -> dict[str, int | None]:
    """Return the number of findings that each rule permits, from `RULE` and `RULE=N`; None is any number."""
    allowed: dict[str, int | None] = {rule.id: 0 for rule in RULES}
    for option in options:
        rule, sign, number = option.partition("=")
        if rule not in allowed:
            raise UserError(f"--allow {option}: {rule!r} is not a rule (rules: {', '.join(allowed)})")
        if sign and not (number.isascii() and number.isdigit()):
            raise UserError(f"--allow {option}: {number!r} is not a number of findings")
        allowed[rule] = int(number) if sign else None
    return allowed


def name_sides(inputs: Inputs, num_train: int) -> "pd.Series[str]":
    """Return the side of each image, train or test: the first `num_train` sources are training."""
    sides = {name: "train" if number < num_train else "test" for number, name in enumerate(inputs.sources)}
    return inputs.index["dataset"].map(sides)


def find_leaks(
    inputs: Inputs,
    sides: "pd.Series[str]",
    allowed: Mapping[str, int | None],
    lists: pd.DataFrame | None = None,
    use_cache: bool = True,
) -> Findings:
    """Audit all images as one set, or look them up in lists, and find what test and training have in common.

    Args:
        inputs: the images.
        sides: train, test or '' by row of their index; images of neither side are left out.
        allowed: see `Findings`.
        lists: see `image_lists.read_lists`; None for an audit.
        use_cache: see `audit_once`.

    Raises:
        UserError: a side has no images.
    """
    index = inputs.index.assign(side=sides)
    if left_out := int((~sides.isin(("train", "test"))).sum()):
        log.warning("%d images are neither training nor test images, and are not compared", left_out)
    index = index[index["side"] != ""].reset_index(drop=True)
    counts = {side: int((index["side"] == side).sum()) for side in ("train", "test")}
    if missing := [side for side, count in counts.items() if not count]:
        raise UserError(f"there are no {missing[0]} images: in a table, the column split names them")
    test, train = ((index["side"] == side).to_numpy() for side in ("test", "train"))
    if lists is None:
        table, links = audit_once(index, inputs.images.read, "gate", use_cache)
        related, unlisted = relate_images(table, links, test, train), []
        absent = table[table["pixels"] == ""]
        unreadable = dict(zip(absent["path"], absent["problem"], strict=True))
    else:
        pixels, unreadable = hash_unlisted_pixels(index, lists, inputs.images.read)
        looked_up = look_up(index.assign(pixels=pixels), lists)
        table = looked_up.rows.assign(label=index["label"].where(index["label"] != "", looked_up.rows["label"]))
        related = relate_listed_images(table, test, train)
        unlisted = [path for path in looked_up.unlisted if path not in set(unreadable)]
    related.insert(0, "rule", related["kind"].map({kind: rule.id for kind, rule in LEAKS.items()}))
    unreadable |= find_absent_images(inputs)
    others = [(UNREADABLE.id, path, unreadable[path]) for path in sorted(unreadable)]
    others += [(UNLISTED.id, path, "") for path in unlisted]
    parts = [related.drop(columns="kind"), pd.DataFrame(others, columns=["rule", "path", "reason"], dtype=str)]
    found = pd.concat(parts, ignore_index=True)
    facts = table.set_index("path")[["label", "patient", "series"]]
    for side, column in (("", "path"), ("other_", "other")):
        for name in facts:
            found[f"{side}{name}"] = found[column].map(facts[name]).fillna("")
    text = ["other", "transform", "through", "reason"]
    return Findings(found.fillna(dict.fromkeys(text, "")), counts, allowed)


def hash_unlisted_pixels(
    index: pd.DataFrame, lists: pd.DataFrame, read_file: ReadFile
) -> tuple["pd.Series[str]", dict[str, str]]:
    """Hash the pixels of the images whose file is in no list.

    Returns:
        The hashes by row of `index`, '' for all other images; and by path why an image cannot be read.
    """
    paths = index.loc[~index["sha256"].isin(set(lists["sha256"])), "path"].tolist()
    found = dict(zip(paths, ordered_map(partial(hash_pixels, read_file), paths, "gate: images"), strict=True))
    hashes = [found[path][0] if path in found else "" for path in index["path"]]
    unreadable = {path: problem for path, (digest, problem) in found.items() if not digest}
    return pd.Series(hashes, index.index, dtype=str), unreadable


def hash_pixels(read_file: ReadFile, path: str) -> tuple[str, str]:
    """Return the hash of an image's size and gray pixels, '' if it cannot be read; and why it is not usable, if so."""
    record = read_and_inspect(read_file, path)
    return record.pixels, record.problem


def find_absent_images(inputs: Inputs) -> dict[str, str]:
    """Return the files and folders that may be images and could not be opened, by path, with the reason.

    These are left out when a source is read: files and folders without permission, damaged members of archives, and
    images that were not fetched, such as links to nothing and pointers of Git LFS. Of a table, these are all files that
    it lists and that give no image.
    """
    found = {}
    for path, reason in inputs.skipped.table().itertuples(index=False, name=None):
        source = inputs.sources.get(path.partition("/")[0]) or next(iter(inputs.sources.values()))
        is_pointer = reason in POINTERS.values() or reason.startswith(DEAD_LINK)
        if is_table(source):
            is_absent = not BESIDE_TABLE.match(reason)
        elif is_pointer:
            is_absent = identify(b"", path).kind is not None
        else:
            is_absent = bool(NOT_OPENED.match(reason))
        if is_absent:
            found[path] = reason
    return found
