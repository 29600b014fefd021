"""Update the generated parts of the documentation from metrics/, params.yaml and the parameter models.

Tables of README.md and docs/results.md, docs/results.json, docs/picture.png, docs/params.md.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from brain_tumor.attribution import verdict
from brain_tumor.core.cli import PARAMS
from brain_tumor.core.params import read_params
from brain_tumor.core.tables import read_table
from brain_tumor.metrics.bootstrap import Estimate
from brain_tumor.reporting.results import Results, read_rows
from brain_tumor.reporting.sentences import protocol_subset
from params_reference import render_reference
from readme_picture import draw_picture
from readme_tables import (
    RecipeResults,
    RecipeVerdicts,
    format_audit_table,
    format_claims_table,
    format_duplicates_table,
    format_main_table,
    format_name,
    format_results_table,
    format_verdicts_table,
    replace_section,
)

PICTURE = Path("docs/picture.png")
PARAMS_PAGE = "docs/params.md"
SUMMARIES = "docs/results.json"  # for the report pages


def read_recipes(root: Path) -> list[RecipeResults]:
    """Read the results of all recipes, in the order of params.yaml."""
    recipes = []
    for name, block in read_params(root / PARAMS, "recipes", dict[str, Any]).items():
        results, published = read_results(root / f"metrics/{name}/metrics.csv"), block.get("published")
        same = None
        if published and published["protocol"] == "selected on test":
            same = read_study_accuracy(root / f"metrics/{name}/protocol.json")
        elif published and results:
            same = results.get("accuracy", protocol_subset(published["protocol"]))
        recipes.append(
            RecipeResults(
                name=name,
                dataset=block["dataset"],
                generated=is_generated(root, block["dataset"]),
                architecture=read_params(root / PARAMS, f"backbones.{block['backbone']}.architecture", str),
                published=published,
                results=results,
                same_protocol=same,
                crossval=read_study_accuracy(root / f"metrics/{name}/crossval.json"),
                crossval_counts=read_crossval_counts(root / f"metrics/{name}/crossval.json"),
                primary=block["primary"],
                by_patient=read_results(root / f"metrics/{name}/patients.csv"),
                external=read_external(root, name),
            )
        )
    return recipes


def read_results(path: Path) -> Results | None:
    """Read a table of metrics; None if it does not exist."""
    return Results.read(path) if path.exists() else None


def read_external(root: Path, recipe: str) -> dict[str, Estimate]:
    """Read the accuracy of a recipe's model on other data sets that are not generated."""
    path = root / "metrics/external/metrics.csv"
    if not path.exists():
        return {}
    table = read_table(path, numbers=("n", "value", "low", "high"))
    table = table[(table["recipe"] == recipe) & (table["metric"] == "accuracy")]
    rows = table[["dataset", "value", "low", "high", "n"]].itertuples(index=False, name=None)
    return {
        str(dataset): Estimate(value, low, high, int(n))
        for dataset, value, low, high, n in rows
        if not is_generated(root, str(dataset))
    }


def read_study_accuracy(path: Path) -> Estimate | None:
    """Read the accuracy from a study's JSON file; None if the study was not run."""
    if not path.exists():
        return None
    study = json.loads(path.read_text(encoding="utf-8"))
    return Estimate(study["accuracy"], study["accuracy_low"], study["accuracy_high"], study["n"])


def read_crossval_counts(path: Path) -> list[int]:
    """Read the number of images of each class in a cross-validation; empty if it was not run."""
    return list(json.loads(path.read_text(encoding="utf-8"))["classes"].values()) if path.exists() else []


def read_verdicts(root: Path) -> list[RecipeVerdicts]:
    """Read the checks of the heat maps of all recipes that have been explained."""
    recipes = []
    for name, block in read_params(root / PARAMS, "recipes", dict[str, Any]).items():
        table, study = root / f"metrics/{name}/explain.csv", root / f"metrics/{name}/permuted.json"
        masks = root / f"metrics/{name}/localization.csv"  # where the data set has no masks of its own
        if table.exists():
            rows = [row for file in (table, masks) if file.exists() for row in read_rows(file)]
            estimates = verdict.read_estimates(rows)
            permuted = json.loads(study.read_text(encoding="utf-8")) if study.exists() else {}
            ranking = verdict.rank_methods(estimates, block["explain"]["methods"])
            recipes.append(RecipeVerdicts(name, is_generated(root, block["dataset"]), ranking, permuted))
    return recipes


def read_dataset_metrics(root: Path, file: str) -> dict[str, Any]:
    """Read metrics/<data set>/<file> of all data sets that have it, by formatted name."""
    names = read_params(root / PARAMS, "datasets", dict[str, Any])
    paths = {name: root / f"metrics/{name}/{file}" for name in names}
    return {
        format_name(name, is_generated(root, name)): json.loads(path.read_text(encoding="utf-8"))
        for name, path in paths.items()
        if path.exists()
    }


def is_generated(root: Path, dataset: str) -> bool:
    """Return whether the images of a data set are generated."""
    return read_params(root / PARAMS, f"datasets.{dataset}.info.generated", bool)


def format_audits(root: Path) -> str:
    """Format the audits of all data sets, and their recall on synthetic duplicates."""
    planted = read_dataset_metrics(root, "planted.json")
    duplicates = format_duplicates_table({name: rates["alteration"] for name, rates in planted.items()})
    return "\n".join(filter(None, [format_audit_table(read_dataset_metrics(root, "audit.json")), duplicates]))


# The generated sections of each page: name and generator.
SECTIONS: Mapping[str, Mapping[str, Callable[[Path], str]]] = {
    "README.md": {"results": lambda root: format_main_table(read_recipes(root))},
    "docs/results.md": {
        "claims": lambda root: format_claims_table(read_recipes(root)),
        "results": lambda root: format_results_table(read_recipes(root)),
        "audit": format_audits,
        "explanations": lambda root: format_verdicts_table(read_verdicts(root)),
    },
}


def format_summaries(root: Path) -> str:
    """Format the results of all recipes that have been run, and the audits of all data sets, as JSON."""
    recipes = {recipe.name: recipe.summary() for recipe in read_recipes(root) if recipe.results}
    datasets = {}
    for name in read_params(root / PARAMS, "datasets", dict[str, Any]):
        audit = root / f"metrics/{name}/audit.json"
        if audit.exists():
            info = read_params(root / PARAMS, f"datasets.{name}.info", dict[str, Any])
            datasets[name] = {**info, "audit": json.loads(audit.read_text(encoding="utf-8"))}
    return json.dumps({"recipes": recipes, "datasets": datasets}, indent=1, ensure_ascii=False) + "\n"


def update_page(root: Path, page: str) -> str:
    """Return the text of a page with all generated sections up to date.

    Raises:
        ValueError: the markers of a section are missing.
    """
    text = (root / page).read_text(encoding="utf-8")
    for name, generate in SECTIONS[page].items():
        text = replace_section(text, name, generate(root))
    return text


def main() -> None:
    """Write all generated parts of the documentation."""
    try:
        pages = {page: update_page(Path(), page) for page in SECTIONS}
    except ValueError as error:
        sys.exit(f"error: {error}")
    for page, text in {**pages, PARAMS_PAGE: render_reference(), SUMMARIES: format_summaries(Path())}.items():
        Path(page).write_text(text, encoding="utf-8")
    draw_picture(PICTURE, read_recipes(Path()))


if __name__ == "__main__":
    main()
