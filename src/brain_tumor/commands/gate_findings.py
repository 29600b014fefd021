"""What a gate found: its rules, its log, and its files."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pandas as pd

from brain_tumor.audit.rules import RULES as AUDIT_RULES
from brain_tumor.audit.rules import Rule
from brain_tumor.commands.inputs import Inputs
from brain_tumor.core.outputs import atomic_outputs, write_csv, write_json

log = logging.getLogger(__name__)
FILES = ("findings.csv", "files.csv", "gate.json", "junit.xml")
MAX_NAMED = 5  # findings of a rule that the log names
UNLIMITED = "any"
UNLISTED = Rule("not-listed", "an image is in no list, and was compared with nothing (only with --lists)")
RULES = (*AUDIT_RULES, UNLISTED)


class Findings(NamedTuple):
    """What a gate found.

    Attributes:
        table: a row for each finding: rule, path, other, transform, distance, correlation and through, see
            `relations.relate_images`; reason, why an image cannot be read; label, patient and series of both images.
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
        return str(row["path"]) + (f" ({row['reason']})" if row["reason"] else "")
    evidence = [] if row["transform"] in ("", "none") else [str(row["transform"])]
    if pd.notna(row["correlation"]):
        evidence.append(f"correlation {row['correlation']:.3f}")
    for name in ("patient", "series"):
        if row[name] and row[name] == row[f"other_{name}"]:
            evidence.append(f"{name} {row[name]}")
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
