"""Model cards in the format of the Hugging Face Hub: a YAML header for the Hub, and a text for people."""

import re
from collections.abc import Mapping
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCardData

from brain_tumor.core.subsets import CLEAN
from brain_tumor.reporting.html_report import ReportData, templates
from brain_tumor.reporting.metric_titles import HEADLINE_METRICS
from brain_tumor.reporting.sentences import BY_PATIENT, best_baseline

# Characters with which text of a data set (labels, sites, titles) could break a table, or add a link or an image.
MARKDOWN_SPECIALS = re.compile(r"[\\|<>\[\]!`]")
HEADER_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "auroc", "calibration_error")
PROJECT = "brain-tumor-mri"


def escape(value: Any) -> Any:
    """Escape text for Markdown and put it on one line; other values are returned unchanged."""
    return MARKDOWN_SPECIALS.sub(r"\\\g<0>", " ".join(value.split())) if isinstance(value, str) else value


markdown_templates = templates.overlay(autoescape=False, finalize=escape)


def render_model_card(data: ReportData) -> str:
    """Render the model card of a recipe."""
    config = data.config
    text = markdown_templates.get_template("model_card.md").render(
        **data.template_context(),
        headline_metrics=HEADLINE_METRICS,
        baseline=best_baseline(data.results),
        timm=is_timm_model(config),
        side=config["preprocess"]["operations"][-1]["size"],
        channels=count_channels(config),
    )
    return f"---\n{render_header(data)}\n---\n\n{text.rstrip()}\n"


def render_header(data: ReportData) -> str:
    """Render the YAML header; its model index has metrics, with intervals, on test images and by patient."""
    source, title = str(data.config["pretrained"]), data.info["title"]
    estimates = [
        (subset, f"{subset} test images", metric, estimate)
        for subset in data.subsets
        for metric in HEADER_METRICS
        if (estimate := data.results.get(metric, subset))
    ]
    metrics = [
        evaluation(data, subset, f"{title}, {name}", metric, [*estimate[:3], estimate.n])
        for subset, name, metric, estimate in estimates
    ]
    figure = data.summary["by_patient"]
    if figure and figure["kind"] != CLEAN:
        metrics.append(
            evaluation(data, "by-patient", f"{title}, {BY_PATIENT[figure['kind']]}", "accuracy", figure["accuracy"])
        )
    header = ModelCardData(
        license="apache-2.0",
        library_name="timm" if is_timm_model(data.config) else PROJECT,
        pipeline_tag="image-classification",
        tags=["medical", "mri", "brain-tumor", "dvc", "not-for-clinical-use"]
        + (["generated-data"] if data.info["generated"] else []),
        datasets=[data.params["dataset"]],
        metrics=["accuracy", "f1", "roc_auc", "matthews_correlation"],
        base_model=source.removeprefix("hub ").split("@")[0] if source.startswith("hub ") else None,
        model_name=data.recipe if metrics else None,
        eval_results=metrics or None,
    )
    text: str = yaml.dump(header.to_dict(), Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    return text.rstrip()


def evaluation(data: ReportData, config: str, name: str, metric: str, numbers: list[float]) -> EvalResult:
    """Describe a metric for the model index: value, low and high end of the interval, and n."""
    value, low, high, n = numbers
    return EvalResult(
        task_type="image-classification",
        dataset_type=data.params["dataset"],
        dataset_name=name,
        dataset_config=config,
        dataset_split="test",
        metric_type=metric,
        metric_name=metric.replace("_", " "),
        metric_value=round(value, 4),
        # Equal values have no interval.
        metric_args={"images": n} | ({"interval_95": [round(low, 4), round(high, 4)]} if low < high else {}),
    )


def is_timm_model(config: Mapping[str, Any]) -> bool:
    """Return whether timm can load the weights: not with those of clinical features in the same file."""
    return not config["metadata"]


def count_channels(config: Mapping[str, Any]) -> int:
    """Return the number of input channels: 1 where the normalization of all three is the same."""
    return 1 if len(set(config["mean"])) == len(set(config["std"])) == 1 else 3


def timm_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Make config.json, with which timm finds architecture, classes and input of the weights beside it.

    Args:
        config: the content of model.json.
    """
    channels, side = count_channels(config), config["preprocess"]["operations"][-1]["size"]
    num_logits = len(config["classes"]) if config["head"] == "softmax" else 1
    return {
        "architecture": config["architecture"],
        "num_classes": num_logits,
        "label_names": list(config["classes"]) if config["head"] == "softmax" else [config["classes"][0]],
        "model_args": {"in_chans": channels},
        "pretrained_cfg": {
            "num_classes": num_logits,
            "input_size": [channels, side, side],
            "mean": list(config["mean"][:channels]),
            "std": list(config["std"][:channels]),
            "crop_pct": 1.0,
            "license": "apache-2.0",
        },
    }
