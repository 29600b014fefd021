"""Model cards in the format of the Hugging Face Hub: a YAML header for the Hub, and a text for people."""

import re
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCardData

from brain_tumor.core.subsets import CLEAN, PUBLISHED
from brain_tumor.reporting.html_report import HEADLINE_METRICS, ReportData, best_baseline, templates

# Characters with which text of a data set (labels, sites, titles) could break a table, or add a link or an image.
MARKDOWN_SPECIALS = re.compile(r"[\\|<>\[\]!`]")
HEADER_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "auroc", "calibration_error")


def escape(value: Any) -> Any:
    """Escape text for Markdown and put it on one line; other values are returned unchanged."""
    return MARKDOWN_SPECIALS.sub(r"\\\g<0>", " ".join(value.split())) if isinstance(value, str) else value


markdown_templates = templates.overlay(autoescape=False, finalize=escape)


def render_model_card(data: ReportData) -> str:
    """Render the model card of a recipe."""
    text = markdown_templates.get_template("model_card.md").render(
        **data.template_context(), headline_metrics=HEADLINE_METRICS, baseline=best_baseline(data.results)
    )
    return f"---\n{render_header(data)}\n---\n\n{text}"


def render_header(data: ReportData) -> str:
    """Render the YAML header; its model index has metrics on all test images and on the clean ones."""
    source, title = str(data.config["pretrained"]), data.info["title"]
    metrics = [
        EvalResult(
            task_type="image-classification",
            dataset_type="brain-mri",
            dataset_name=f"{title}, {subset} test images",
            dataset_config=subset,
            dataset_split="test",
            metric_type=metric,
            metric_name=metric.replace("_", " "),
            metric_value=round(estimate.value, 4),
        )
        for subset in (PUBLISHED, CLEAN)
        for metric in HEADER_METRICS
        if (estimate := data.results.get(metric, subset))
    ]
    header = ModelCardData(
        license="apache-2.0",
        library_name="timm",
        pipeline_tag="image-classification",
        tags=["medical", "mri", "brain-tumor", "dvc", "not-for-clinical-use"]
        + (["generated-data"] if data.info["generated"] else []),
        base_model=source.removeprefix("hub ").split("@")[0] if source.startswith("hub ") else None,
        model_name=data.recipe if metrics else None,
        eval_results=metrics or None,
    )
    text: str = yaml.dump(header.to_dict(), Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    return text.rstrip()
