"""Write the report of a recipe, and a folder with its model and model card for the Hugging Face Hub."""

import json
import logging
import shutil
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs, write_json
from brain_tumor.core.params import read_params
from brain_tumor.core.subsets import CLEAN, PUBLISHED
from brain_tumor.core.tables import is_clean, probability_columns, read_table
from brain_tumor.plotting.claims import plot_accuracies
from brain_tumor.plotting.leakage import plot_accuracy_by_leak
from brain_tumor.plotting.training import plot_learning_curves
from brain_tumor.reporting.html_report import ReportData, render_report
from brain_tumor.reporting.images import shrink_sheet
from brain_tumor.reporting.model_card import render_model_card, timm_config
from brain_tumor.reporting.results import Results, read_rows
from brain_tumor.reporting.slices import Slice, TestImages, choose_examples, show_cases, show_mistakes
from brain_tumor.reporting.summary import NO_STUDIES, Subject, headline_metrics, list_accuracies, summarize_recipe

log = logging.getLogger(__name__)
CURVE_COLUMNS = ("epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
SUMMARIES = Path("docs/results.json")  # of all recipes, with the results of the studies
MAX_MISTAKES = 24


def main(name: str) -> None:
    """Write reports/<recipe>/: report.html; hub/, for the Hugging Face Hub; and summary.json, for the index."""
    data = read_report_data(name)
    with atomic_outputs(f"reports/{name}", f"metrics/{name}/summary.json") as (folder, metrics):
        folder.mkdir()
        (folder / "report.html").write_text(render_report(data), encoding="utf-8", newline="\n")
        write_hub_folder(folder / "hub", data)
        write_json(folder / "summary.json", data.summary)
        write_json(metrics, headline_metrics(data.summary))
    log.info("the report is reports/%s/report.html, the model with its card is in reports/%s/hub", name, name)


def write_hub_folder(folder: Path, data: ReportData) -> None:
    """Write the model with its card: what is to be uploaded to the Hugging Face Hub."""
    folder.mkdir()
    for file in ("model.safetensors", "model.json"):
        shutil.copyfile(Path("models") / data.recipe / file, folder / file)
    write_json(folder / "config.json", timm_config(data.config))
    (folder / "README.md").write_text(render_model_card(data), encoding="utf-8", newline="\n")


def read_report_data(name: str) -> ReportData:
    """Read the metrics and plots of a recipe, and draw what only the report shows."""
    params = read_params(PARAMS, f"recipes.{name}", dict[str, Any])
    dataset = params["dataset"]
    config = read_json(f"models/{name}/model.json")
    metrics = {key: read_json(f"metrics/{name}/{key}.json") for key in ("split", "train")}
    metrics["audit"] = read_json(f"metrics/{dataset}/audit.json")
    info = read_params(PARAMS, f"datasets.{dataset}.info", dict[str, Any])
    results = Results.read(Path(f"metrics/{name}/metrics.csv"))
    studies = read_json(str(SUMMARIES))["recipes"].get(name, {}).get("studies", NO_STUDIES)
    subject = Subject(name, dataset, info["generated"], config["architecture"], params.get("published"))
    summary = summarize_recipe(subject, results, studies)
    predictions = read_table(f"data/predictions/{name}.csv", numbers=("row", *probability_columns(config["classes"])))
    images = TestImages.open(Path(f"data/enhanced/{name}"))
    title = f"{name}{' (generated images)' if info['generated'] else ''}"
    files = [path for folder in ("charts", "maps") for path in sorted(Path(f"plots/{name}/{folder}").iterdir())]
    charts = {path.stem: path.read_text(encoding="utf-8") for path in files if path.suffix == ".svg"}
    charts |= draw_charts(name, results, summary, metrics["train"]["selected_epoch"], title)
    sheets = {path.stem: path for path in files if path.suffix == ".png" and path.parent.name == "maps"}
    sheets |= {"audit": Path(f"plots/{dataset}/audit.png"), "preprocess": Path(f"plots/{name}/preprocess.png")}
    data = ReportData(
        recipe=name,
        params=params,
        info=info,
        config=config,
        metrics=metrics,
        results=results,
        summary=summary,
        explanations=read_rows(Path(f"metrics/{name}/explain.csv")),
        label_issues=[] if info["generated"] else read_rows(Path(f"plots/{name}/label_issues.csv")),
        confusion=count_confusion(predictions, config["classes"]),
        charts=charts,
        sheets={key: shrink_sheet(path.read_bytes()) for key, path in sheets.items()},
        mistakes=show_mistakes(images, predictions, config["classes"], MAX_MISTAKES),
    )
    examples, cases = read_cases(name, images, [method for method, *_ in data.ranking])
    return replace(data, examples=examples, cases=cases)


def read_cases(name: str, images: TestImages, methods: list[str]) -> tuple[list[Slice], list[Slice]]:
    """Show the cases of the explanations: examples with the map of the best method, and all with all methods.

    Args:
        methods: names of the attribution methods, the best first.
    """
    folder = Path(f"data/explanations/{name}")
    cases = read_table(folder / "cases.csv", numbers=("row", "p"))
    maps = dict(np.load(folder / "predicted.npz"))
    methods = [method for method in methods if method in maps]
    chosen = choose_examples(cases)
    first = {method: maps[method][chosen] for method in methods[:1]}
    return show_cases(images, cases.iloc[chosen], first, methods[:1]), show_cases(images, cases, maps, methods)


def count_confusion(predictions: pd.DataFrame, classes: list[str]) -> dict[str, list[list[int]]]:
    """Count test images by true (rows) and predicted class, for all images, and for the clean ones if some are not."""
    clean = is_clean(predictions)
    subsets = {PUBLISHED: predictions} | ({CLEAN: predictions[clean]} if clean.any() and not clean.all() else {})
    return {
        name: pd.crosstab(table["label"], table["predicted"])
        .reindex(index=classes, columns=classes, fill_value=0)
        .to_numpy()
        .tolist()
        for name, table in subsets.items()
    }


def read_json(path: str) -> dict[str, Any]:
    """Read a JSON object."""
    content: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return content


def draw_charts(
    name: str, results: Results, summary: dict[str, Any], selected_epoch: int, title: str
) -> dict[str, str]:
    """Draw the claims, the learning curves and the accuracy by type of leakage, as SVG files by name."""
    claims, curves, leaks = BytesIO(), BytesIO(), BytesIO()
    compared = "accuracy as published" if summary["published"] else "accuracy on the test images"
    plot_accuracies(claims, list_accuracies(summary), f"{title}: {compared} and by patient")
    table = read_table(f"plots/{name}/curves.csv", numbers=CURVE_COLUMNS)
    plot_learning_curves(curves, table, selected_epoch, f"{title}: learning curves")
    charts = {"claims": claims, "curves": curves}
    if len(by_leak := results.accuracy_by_leak()) > 1:
        plot_accuracy_by_leak(leaks, by_leak, f"{title}: test images by their relation to the training images")
        charts["leaks"] = leaks
    return {key: buffer.getvalue().decode() for key, buffer in charts.items()}


if __name__ == "__main__":
    run_stage(main, "recipe")
