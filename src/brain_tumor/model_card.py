"""The model card in the format of the Hugging Face hub: a YAML header that the hub can read, and a text for people."""

import re
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from brain_tumor.report import HEADLINE, Known, best_baseline, pages

# Signs with which text from a data set (labels, sites, titles) could break a table, or make a link or a picture.
ACTIVE = re.compile(r"[\\|<>\[\]!`]")
SHOWN = ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "auroc", "ece")


def plain(value: Any) -> Any:
    """Text as Markdown shows it, on one line and without any effect; other values as they are."""
    return ACTIVE.sub(r"\\\g<0>", " ".join(value.split())) if isinstance(value, str) else value


markdown = pages.overlay(autoescape=False, finalize=plain)


def model_card(known: Known) -> str:
    """Render the card of a recipe's model."""
    text = markdown.get_template("model_card.md").render(
        **known.words(),
        block=known.block,
        audit=known.metrics["audit"],
        headline=HEADLINE,
        baseline=best_baseline(known.results),
    )
    return f"---\n{header(known)}\n---\n\n{text}"


def header(known: Known) -> str:
    """The YAML header; measured figures stand in its model index, all test images beside the clean ones."""
    source, title = str(known.card["pretrained"]), known.about["title"]
    measured = [
        EvalResult(
            task_type="image-classification",
            dataset_type="brain-mri",
            dataset_name=f"{title}, {subset} test images",
            dataset_config=subset,
            dataset_split="test",
            metric_type=figure,
            metric_name=figure.replace("_", " "),
            metric_value=round(found.value, 4),
        )
        for subset in ("published", "clean")
        for figure in SHOWN
        if (found := known.results.get(figure, subset))
    ]
    data = ModelCardData(
        license="apache-2.0",
        library_name="timm",
        pipeline_tag="image-classification",
        tags=["medical", "mri", "brain-tumor", "dvc", "not-for-clinical-use"]
        + (["generated-data"] if known.about["generated"] else []),
        base_model=source.removeprefix("hub ").split("@")[0] if source.startswith("hub ") else None,
        model_name=known.recipe if measured else None,
        eval_results=measured or None,
    )
    return str(data.to_yaml())
