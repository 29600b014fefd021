"""Write reports/index.html, which compares the reports that dvc.yaml names as `deps` of the stage `deliver`."""

import json
from pathlib import Path

import yaml

from brain_tumor.core.cli import run_cli
from brain_tumor.core.errors import UserError
from brain_tumor.core.outputs import atomic_outputs
from brain_tumor.reporting.html_report import render_index


def main() -> None:
    """Collect the summaries of the reports into the index page."""
    stages = yaml.load(Path("dvc.yaml").read_bytes(), yaml.CSafeLoader)["stages"]
    reports = [Path(dep) for dep in stages["deliver"]["deps"] if dep.startswith("reports/")]
    missing = [report.name for report in reports if not (report / "summary.json").exists()]
    if missing:
        commands = " ".join(f"stages/dvc.yaml:report@{name}" for name in missing)
        raise UserError(f"no report of {', '.join(missing)}: run `dvc repro {commands}`")
    summaries = [json.loads((report / "summary.json").read_text(encoding="utf-8")) for report in reports]
    with atomic_outputs("reports/index.html") as (path,):
        path.write_text(render_index(summaries), encoding="utf-8", newline="\n")
    print("the reports are at reports/index.html")


if __name__ == "__main__":
    run_cli(main)
