"""Write reports/index.html, which compares the reports that dvc.yaml names as `deps` of the stage `deliver`."""

import json
import sys
from pathlib import Path

from ruamel.yaml import YAML

from brain_tumor.errors import UserError
from brain_tumor.outputs import staged
from brain_tumor.report import index_page


def main() -> None:
    """Collect the summaries of the promised reports into the index page."""
    stages = YAML(typ="safe", pure=True).load(Path("dvc.yaml"))["stages"]
    promised = [Path(dep) for dep in stages["deliver"]["deps"] if dep.startswith("reports/")]
    missing = [str(folder) for folder in promised if not (folder / "summary.json").exists()]
    if missing:
        raise UserError(f"{', '.join(missing)}: no report; run dvc repro stages/dvc.yaml:report@<recipe> first")
    rows = [json.loads((folder / "summary.json").read_text()) for folder in promised]
    with staged("reports/index.html") as (draft,):
        draft.write_text(index_page(rows), encoding="utf-8", newline="\n")
    print("the reports are at reports/index.html")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
