"""Report data of a small recipe."""

from io import BytesIO
from typing import Any

from brain_tumor.plotting.claims import Accuracy, plot_accuracies
from brain_tumor.reporting.html_report import ReportData
from brain_tumor.reporting.slices import Slice
from brain_tumor.reporting.summary import NO_STUDIES, Subject, summarize_recipe
from example_results import make_results

PICTURE = "data:image/webp;base64,UklGRg=="
MAP_METRICS = ("pointing", "relevance_inside", "iou_best", "iou_half", "area")


def explanation(name: str, metric: str, value: float, **changes: str) -> dict[str, str]:
    """Make a row of explain.csv."""
    row = dict.fromkeys(("baseline", "stage", "region", "class"), "") | {"map": name, "metric": metric, "n": "9"}
    return row | {"value": str(value), "low": "0.1", "high": "0.9"} | changes


def make_slice(number: int) -> Slice:
    """Make a picture of a test image whose prediction is wrong."""
    return Slice(PICTURE, f"Test image {number}.png", "<b> 90.0%, true: c", f"folder/{number}.png", "", True, False)


def make_chart() -> str:
    """Make an SVG file of a chart."""
    buffer = BytesIO()
    plot_accuracies(buffer, [Accuracy("ours", 0.8, 0.7, 0.9, 20, "#000000", "o")], "A chart")
    return buffer.getvalue().decode()


def make_data(**changes: Any) -> ReportData:
    """Make report data, with any of its fields replaced."""
    part = {"images": 9, "groups": 8, "classes": {"<b>": 9, "c": 9}}
    fields: dict[str, Any] = {
        "recipe": "mine",
        "params": {
            "primary": "clean",
            "dataset": "shapes",
            "evaluate": {"rounds": 100},
            "train": {"select": "loss"},
            "explain": {"methods": ["grad-cam"]},
        },
        "info": {"title": "Shapes", "url": "", "license": "none", "generated": False},
        "config": {
            "architecture": "net",
            "classes": ["<b>", "c"],
            "pretrained": "none",
            "head": "softmax",
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "metadata": [],
            "preprocess": {"operations": [{"op": "resize", "size": 32, "mode": "pad"}]},
            "data": "f" * 8,
            "code": {"core": "a1", "training": "b2"},
            "calibration": {
                "temperature": 1.5, "operating_point": None, "validation_images": 9, "conformal_images": 0,
            },
            "versions": {"torch": "2"},
        },
        "metrics": {
            "audit": {
                "images": 27, "distinct_files": 26, "unique_images": 25, "groups": 25, "patients": 0, "series": 0,
                "unreadable": 0, "label_conflicts": 0, "quality_warnings": 0,
            },
            "split": {"train": part, "validation": part, "conformal": part, "test": part},
            "train": {"images": 9, "parameters": 10, "selected_epoch": 1, "validation_accuracy": 0.5},
        },
        "results": make_results((6, 1, 1), 12),
        "explanations": [
            explanation(name, metric, value)
            for name, value in (("grad-cam", 0.234), ("center", 0.345))
            for metric in MAP_METRICS
        ],
        "label_issues": [{"path": "a.png", "label": "<b>", "p_label": "0.1", "suggested": "c", "p_suggested": "0.9"}],
        "confusion": {"published": [[9, 1], [2, 8]]},
        "charts": dict.fromkeys(("claims", "roc", "curves"), make_chart()),
        "sheets": dict.fromkeys(("audit", "preprocess", "mean"), PICTURE),
        "examples": [make_slice(0)],
        "mistakes": [make_slice(number) for number in range(20)],
    }  # fmt: skip
    fields |= changes
    subject = Subject(fields["recipe"], "shapes", False, "net", fields["params"].get("published"))
    return ReportData(**{"summary": summarize_recipe(subject, fields["results"], NO_STUDIES)} | fields)
