"""Write the page of the cross-validation by patients of a recipe."""

import json
import logging
from pathlib import Path
from typing import Any

from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs
from brain_tumor.core.params import read_params
from brain_tumor.core.tables import class_indices, read_table
from brain_tumor.metrics.classification import count_confusion
from brain_tumor.reporting.patients_report import render_patients
from brain_tumor.reporting.results import Results, read_rows

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Write reports/patients/<recipe>.html, a single file."""
    recipe = {key: read_params(PARAMS, f"recipes.{name}.{key}", str) for key in ("dataset", "backbone")}
    classes = read_params(PARAMS, f"recipes.{name}.classes", tuple[str, ...])
    info = read_params(PARAMS, f"datasets.{recipe['dataset']}.info", dict[str, Any])
    predictions = read_table(f"data/predictions/{name}-patients.csv", text=("label", "predicted"))
    truth, predicted = (class_indices(predictions[column], classes) for column in ("label", "predicted"))
    summary = json.loads(Path(f"metrics/{name}/patients.json").read_text(encoding="utf-8"))
    page = render_patients(
        recipe=name,
        architecture=read_params(PARAMS, f"backbones.{recipe['backbone']}.architecture", str),
        info=info,
        results=Results.read(Path(f"metrics/{name}/patients.csv")),
        best_baseline=summary["best_baseline"]["name"],
        folds=read_rows(Path(f"plots/{name}/patients.csv")),
        classes=classes,
        confusion=count_confusion(truth, predicted, len(classes)).tolist(),
    )
    with atomic_outputs(f"reports/patients/{name}.html") as (path,):
        path.write_text(page, encoding="utf-8", newline="\n")
    log.info("the page is reports/patients/%s.html", name)


if __name__ == "__main__":
    run_stage(main, "recipe")
