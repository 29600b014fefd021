"""Write the report and the model card of a recipe."""

import json
import logging
from io import BytesIO
from pathlib import Path
from typing import Any

from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs, write_json
from brain_tumor.core.params import read_params
from brain_tumor.core.subsets import CLEAN, PUBLISHED
from brain_tumor.core.tables import read_table
from brain_tumor.plotting.leakage import plot_accuracy_by_leak
from brain_tumor.plotting.training import plot_learning_curves
from brain_tumor.reporting.html_report import ReportData, best_baseline, render_report
from brain_tumor.reporting.model_card import render_model_card
from brain_tumor.reporting.results import Results, read_rows

log = logging.getLogger(__name__)
CURVE_COLUMNS = ("epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


def main(name: str) -> None:
    """Write reports/<recipe>/: report.html, a single file; model_card.md; and summary.json for the index."""
    data = read_report_data(name)
    summary = {
        "recipe": name,
        "dataset": data.params["dataset"],
        "generated": data.info["generated"],
        "architecture": data.config["architecture"],
        "published": headline_values(data.results, PUBLISHED),
        "clean": headline_values(data.results, CLEAN),
        "baseline": best_baseline(data.results),
    }
    with atomic_outputs(f"reports/{name}") as (folder,):
        folder.mkdir()
        (folder / "report.html").write_text(render_report(data), encoding="utf-8", newline="\n")
        (folder / "model_card.md").write_text(render_model_card(data), encoding="utf-8", newline="\n")
        write_json(folder / "summary.json", summary)
    log.info("the report is reports/%s/report.html", name)


def read_report_data(name: str) -> ReportData:
    """Read the metrics and plots of a recipe."""
    params = read_params(PARAMS, f"recipes.{name}", dict[str, Any])
    dataset = params["dataset"]
    config = read_json(f"models/{name}/model.json")
    metrics = {key: read_json(f"metrics/{name}/{key}.json") for key in ("split", "train")}
    metrics["audit"] = read_json(f"metrics/{dataset}/audit.json")
    info = read_params(PARAMS, f"datasets.{dataset}.info", dict[str, Any])
    results = Results.read(Path(f"metrics/{name}/metrics.csv"))
    sheets = sorted(path.stem for path in Path(f"plots/{name}/sheets").glob("*.png"))
    pictures = {
        path.stem: path.read_bytes()
        for folder in ("sheets", "charts", "maps")
        for path in sorted(Path(f"plots/{name}/{folder}").glob("*.png"))
    }
    pictures["audit"] = Path(f"plots/{dataset}/audit.png").read_bytes()
    pictures["preprocess"] = Path(f"plots/{name}/preprocess.png").read_bytes()
    title = f"{name}{' (generated images)' if info['generated'] else ''}"
    pictures |= draw_charts(name, results, metrics["train"]["selected_epoch"], title)
    return ReportData(
        recipe=name,
        params=params,
        info=info,
        config=config,
        metrics=metrics,
        results=results,
        explanations=read_rows(Path(f"metrics/{name}/explain.csv")),
        label_issues=read_rows(Path(f"plots/{name}/label_issues.csv")),
        pictures=pictures,
        sheets=sheets,
    )


def read_json(path: str) -> dict[str, Any]:
    """Read a JSON object."""
    content: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return content


def draw_charts(name: str, results: Results, selected_epoch: int, title: str) -> dict[str, bytes]:
    """Draw the learning curves and the accuracy by type of leakage, as PNG files by name."""
    curves, leaks = BytesIO(), BytesIO()
    table = read_table(f"plots/{name}/curves.csv", numbers=CURVE_COLUMNS)
    plot_learning_curves(curves, table, selected_epoch, f"{title}: learning curves")
    plot_accuracy_by_leak(leaks, results.accuracy_by_leak(), f"{title}: {results.n():,} test images")
    return {"curves": curves.getvalue(), "leaks": leaks.getvalue()}


def headline_values(results: Results, subset: str) -> dict[str, Any]:
    """Return n, and value and interval of accuracy and macro F1, of a subset."""
    estimates = {metric: results.get(metric, subset) for metric in ("accuracy", "macro_f1")}
    return {"n": results.n(subset)} | {metric: list(one[:3]) for metric, one in estimates.items() if one}


if __name__ == "__main__":
    run_stage(main, "recipe")
