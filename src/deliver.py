"""Write reports/index.html: the results of all recipes, and the reports that `deliver` in dvc.yaml names as `deps`."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml

from brain_tumor.core.cli import run_cli
from brain_tumor.core.errors import UserError
from brain_tumor.core.outputs import atomic_outputs
from brain_tumor.plotting.claims import plot_claims
from brain_tumor.reporting.html_report import render_index
from brain_tumor.reporting.summary import make_claim

RESULTS = Path("docs/results.json")


def main() -> None:
    """Collect the committed results of all recipes, and the summaries of the reports, into the index page."""
    stages = yaml.load(Path("dvc.yaml").read_bytes(), yaml.CSafeLoader)["stages"]
    reports = [Path(dep) for dep in stages["deliver"]["deps"] if dep.startswith("reports/")]
    missing = [report.name for report in reports if not (report / "summary.json").exists()]
    if missing:
        commands = " ".join(f"stages/dvc.yaml:report@{name}" for name in missing)
        raise UserError(f"no report of {', '.join(missing)}: run `dvc repro {commands}`")
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    # What the reports measured replaces what was committed.
    delivered: dict[str, Any] = {
        report.name: json.loads((report / "summary.json").read_text(encoding="utf-8")) for report in reports
    }
    summaries = sorted((results["recipes"] | delivered).values(), key=lambda summary: bool(summary["generated"]))
    claims = BytesIO()
    plot_claims(claims, [make_claim(summary) for summary in summaries], "Accuracy as published, and by patient")
    page = render_index(summaries, results["datasets"], list(delivered), claims.getvalue().decode())
    with atomic_outputs("reports/index.html") as (path,):
        path.write_text(page, encoding="utf-8", newline="\n")
    print("the reports are at reports/index.html")


if __name__ == "__main__":
    run_cli(main)
