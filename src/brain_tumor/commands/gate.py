"""`brain-tumor gate`: fail if something of a test image is in training."""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pandas as pd

from brain_tumor.audit.inspection import ReadFile, read_and_inspect
from brain_tumor.audit.relations import relate_images
from brain_tumor.audit.rules import LEAKS, UNREADABLE, Rule
from brain_tumor.audit.rules import RULES as AUDIT_RULES
from brain_tumor.commands.cached_audit import audit_once
from brain_tumor.commands.inputs import (
    SOURCE_HELP,
    Inputs,
    add_read_options,
    open_inputs,
    parse_read_options,
)
from brain_tumor.core.cli import run_cli
from brain_tumor.core.errors import UserError
from brain_tumor.core.outputs import atomic_outputs, write_csv, write_json
from brain_tumor.parallel import ordered_map
from brain_tumor.studies.image_lists import look_up, read_lists, relate_listed_images

log = logging.getLogger(__name__)
FILES = ("findings.csv", "files.csv", "gate.json", "junit.xml")
PASSED, FAILED, ERROR = 0, 1, 2  # exit codes
MAX_NAMED = 5  # findings of a rule that the log names
UNLIMITED = "any"
UNLISTED = Rule("not-listed", "an image is in no list, and was compared with nothing (only with --lists)")
RULES = (*AUDIT_RULES, UNLISTED)
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


class Findings(NamedTuple):
    """What a gate found.

    Attributes:
        table: a row for each finding: rule, path, other, transform, distance, correlation and through, see
            `relations.relate_images`; with label and patient of both images.
        counts: number of images by side, train and test.
        allowed: number of findings that each rule permits, None for any number, by rule.
    """

    table: pd.DataFrame
    counts: Mapping[str, int]
    allowed: Mapping[str, int | None]

    def count(self, rule: str) -> int:
        """Return the number of findings of a rule."""
        return int((self.table["rule"] == rule).sum())

    def is_broken(self, rule: str) -> bool:
        """Return whether a rule has more findings than permitted."""
        limit = self.allowed[rule]
        return limit is not None and self.count(rule) > limit


def main(argv: Sequence[str] | None = None) -> int:
    """Compare the training and test images that the command line names.

    Args:
        argv: the arguments after `brain-tumor gate`; those of the process if None.

    Returns:
        PASSED, FAILED or ERROR.
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
        with open_inputs(sources, options, shared_patients=True) as inputs:
            sides = inputs.index["split"] if args.table else name_sides(inputs, len(args.train))
            findings = find_leaks(inputs, sides, allowed, lists, options.use_cache)
        if args.out:
            write_findings(args.out, findings, inputs)
        log_findings(findings)
        passed.append(not any(findings.is_broken(rule.id) for rule in RULES))

    try:
        run_cli(run)
    except SystemExit as error:
        print(error.code, file=sys.stderr)
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
        unreadable = table.loc[table["pixels"] == "", "path"].tolist()
    else:
        pixels, unreadable = hash_unlisted_pixels(index, lists, inputs.images.read)
        looked_up = look_up(index.assign(pixels=pixels), lists)
        table, related = looked_up.rows, relate_listed_images(looked_up.rows, test, train)
        unlisted = [path for path in looked_up.unlisted if path not in set(unreadable)]
    related.insert(0, "rule", related["kind"].map({kind: rule.id for kind, rule in LEAKS.items()}))
    others = [(UNREADABLE.id, path) for path in unreadable] + [(UNLISTED.id, path) for path in unlisted]
    parts = [related.drop(columns="kind"), pd.DataFrame(others, columns=["rule", "path"], dtype=str)]
    found = pd.concat(parts, ignore_index=True)
    facts = table.set_index("path")[["label", "patient"]]
    for side, column in (("", "path"), ("other_", "other")):
        for name in facts:
            found[f"{side}{name}"] = found[column].map(facts[name]).fillna("")
    text = ["other", "transform", "through"]
    return Findings(found.fillna(dict.fromkeys(text, "")), counts, allowed)


def hash_unlisted_pixels(
    index: pd.DataFrame, lists: pd.DataFrame, read_file: ReadFile
) -> tuple["pd.Series[str]", list[str]]:
    """Hash the pixels of the images whose file is in no list.

    Returns:
        The hashes by row of `index`, '' for all other images; and the paths of those that cannot be read.
    """
    paths = index.loc[~index["sha256"].isin(set(lists["sha256"])), "path"].tolist()
    hashes = dict(zip(paths, ordered_map(partial(hash_pixels, read_file), paths, "gate: images"), strict=True))
    return index["path"].map(hashes).fillna(""), [path for path, digest in hashes.items() if not digest]


def hash_pixels(read_file: ReadFile, path: str) -> str:
    """Return the hash of an image's size and gray pixels, '' if it cannot be read."""
    return read_and_inspect(read_file, path).pixels


def log_findings(findings: Findings) -> None:
    """Log the numbers of findings, the first of each rule by name, and the verdict."""
    for rule in RULES:
        rows = findings.table[findings.table["rule"] == rule.id]
        if rows.empty:
            continue
        limit = findings.allowed[rule.id]
        permitted = "any number is allowed" if limit is None else f"{limit} allowed"
        log.info("%s: %d × %s (%s)", rule.id, len(rows), rule.title, permitted)
        for row in rows.head(MAX_NAMED).to_dict("records"):
            log.info("  %s", describe_finding(row))
        if len(rows) > MAX_NAMED:
            log.info("  and %d more", len(rows) - MAX_NAMED)
    broken = [rule.id for rule in RULES if findings.is_broken(rule.id)]
    verdict = f"failed: {', '.join(broken)}" if broken else "passed"
    log.info("%d test images, %d training images: %s", findings.counts["test"], findings.counts["train"], verdict)


def describe_finding(row: Mapping[Any, Any]) -> str:
    """Return a finding as one line of text: which images, and the evidence."""
    if not row["other"]:
        return str(row["path"])
    evidence = [] if row["transform"] in ("", "none") else [str(row["transform"])]
    if pd.notna(row["correlation"]):
        evidence.append(f"correlation {row['correlation']:.3f}")
    if row["patient"] and row["patient"] == row["other_patient"]:
        evidence.append(f"patient {row['patient']}")
    if row["label"] != row["other_label"]:
        evidence.append(f"labels {row['label'] or 'none'} and {row['other_label'] or 'none'}")
    if row["through"]:
        evidence.append(f"through {row['through']}")
    return f"{row['path']} and {row['other']}" + (f" ({', '.join(evidence)})" if evidence else "")


def write_findings(out: Path, findings: Findings, inputs: Inputs) -> None:
    """Write the findings as a table, as JSON and as JUnit XML, and the files that are no images."""
    rules = {
        rule.id: {
            "title": rule.title,
            "found": findings.count(rule.id),
            "allowed": UNLIMITED if findings.allowed[rule.id] is None else findings.allowed[rule.id],
            "broken": findings.is_broken(rule.id),
        }
        for rule in RULES
    }
    content = {
        "passed": not any(rule["broken"] for rule in rules.values()),
        "images": dict(findings.counts),
        "files_left_out": len(inputs.skipped.table()),
        "rules": rules,
    }
    with atomic_outputs(*(out / file for file in FILES)) as (table_path, files_path, json_path, junit_path):
        write_csv(table_path, findings.table)
        write_csv(files_path, inputs.skipped.table())
        write_json(json_path, content)
        ElementTree.ElementTree(make_junit(findings)).write(junit_path, encoding="utf-8", xml_declaration=True)


def make_junit(findings: Findings) -> ElementTree.Element:
    """Return the findings in the JUnit format, which CI systems show: each rule is a test case."""
    broken = [rule for rule in RULES if findings.is_broken(rule.id)]
    suite = ElementTree.Element("testsuite", name="gate", tests=str(len(RULES)), failures=str(len(broken)))
    for rule in RULES:
        case = ElementTree.SubElement(suite, "testcase", classname="gate", name=rule.id)
        if rule in broken:
            rows = findings.table[findings.table["rule"] == rule.id].to_dict("records")
            failure = ElementTree.SubElement(case, "failure", message=f"{len(rows)} × {rule.title}")
            failure.text = "\n".join(map(describe_finding, rows))
    return suite
