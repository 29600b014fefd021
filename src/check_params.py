"""Check all of params.yaml before any other stage runs."""

import importlib
import logging
from typing import Any

from brain_tumor.core.cli import PARAMS, run_cli
from brain_tumor.core.errors import UserError
from brain_tumor.core.outputs import atomic_outputs
from brain_tumor.recipes.check import Schemas, check_params

log = logging.getLogger(__name__)
# The schemas, by the block of params.yaml. They are imported by name: `deps` has the rooms that hold them, and not all
# rooms that these import, since each stage checks its own blocks again.
KINDS = "brain_tumor.datasets.registry:KINDS"
SOURCE = "brain_tumor.sources.{kind}:Source"
DATASET = {
    "expected": "brain_tumor.datasets.registry:ExpectedContent",
    "info": "brain_tumor.datasets.registry:DatasetInfo",
}
BACKBONE = "brain_tumor.pretrained.weights:BackboneParams"
RECIPE = {
    "preprocess": "brain_tumor.preprocessing.operations:PreprocessParams",
    "split": "brain_tumor.splits.split:SplitParams",
    "train": "brain_tumor.training.recipe:TrainParams",
    "evaluate": "brain_tumor.evaluation.evaluate:EvaluateParams",
    "explain": "brain_tumor.attribution.cases:ExplainParams",
    "export": "brain_tumor.export.quality_check:ExportParams",
}
# The same for every valid params.yaml: what depends on it then runs after this stage, and never because of it.
CHECKED = "params.yaml is valid.\n"


def main() -> None:
    """Write data/params-checked.txt if params.yaml has no errors; otherwise list all of them."""
    findings = check_params(PARAMS, load_schemas())
    for warning in findings.warnings:
        log.warning("%s: a study cannot run: %s", PARAMS, warning)
    if findings.errors:
        count, lines = len(findings.errors), "\n  ".join(findings.errors)
        raise UserError(f"{PARAMS} has {count} wrong value{'' if count == 1 else 's'}, and nothing runs:\n  {lines}")
    with atomic_outputs("data/params-checked.txt") as (path,):
        path.write_text(CHECKED, encoding="utf-8", newline="\n")


def load_schemas() -> Schemas:
    """Import the schemas."""
    return Schemas(
        sources={kind: load(SOURCE.format(kind=kind)) for kind in load(KINDS)},
        expected=load(DATASET["expected"]),
        info=load(DATASET["info"]),
        backbone=load(BACKBONE),
        recipe={key: load(name) for key, name in RECIPE.items()},
    )


def load(name: str) -> Any:
    """Import an object by `module:name`."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


if __name__ == "__main__":
    run_cli(main)
