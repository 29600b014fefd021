"""The model card in the format of the Hugging Face hub: a YAML header that the hub can read, and a text for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from brain_tumor import trust
from brain_tumor.report import HEADLINE, best_baseline, pages, sentence
from brain_tumor.results import Results

SHOWN = ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "auroc", "ece")


def model_card(
    recipe: str,
    block: Mapping[str, Any],
    about: Mapping[str, Any],
    card: Mapping[str, Any],
    metrics: Mapping[str, Any],
    results: Results,
    maps: Sequence[Mapping[str, str]],
) -> str:
    """Render the card of a recipe's model; the arguments are those of `report.recipe_page`."""
    located, methods = trust.spans(maps), tuple(block["explain"]["methods"])
    text = pages.get_template("model_card.md").render(
        recipe=recipe,
        block=block,
        about=about,
        card=card,
        **{name: metrics[name] for name in ("audit", "split", "train")},
        results=results,
        headline=HEADLINE,
        sentence=sentence(results),
        baseline=best_baseline(results),
        trusted=trust.ranking(located, methods),
        trust_sentence=trust.sentence(located, methods),
    )
    return f"---\n{header(recipe, about, card, results)}\n---\n\n{text}"


def header(recipe: str, about: Mapping[str, Any], card: Mapping[str, Any], results: Results) -> str:
    """The YAML header; measured figures stand in its model index, all test images beside the clean ones."""
    source = str(card["pretrained"])
    measured = [
        EvalResult(
            task_type="image-classification",
            dataset_type="brain-mri",
            dataset_name=f"{about['title']}, {subset} test images",
            dataset_config=subset,
            dataset_split="test",
            metric_type=figure,
            metric_name=figure.replace("_", " "),
            metric_value=round(found.value, 4),
        )
        for subset in ("published", "clean")
        for figure in SHOWN
        if (found := results.get(figure, subset))
    ]
    data = ModelCardData(
        license="apache-2.0",
        library_name="timm",
        pipeline_tag="image-classification",
        tags=["medical", "mri", "brain-tumor", "dvc", "not-for-clinical-use"]
        + (["generated-data"] if about["generated"] else []),
        base_model=source.removeprefix("hub ").split("@")[0] if source.startswith("hub ") else None,
        model_name=recipe if measured else None,
        eval_results=measured or None,
    )
    return str(data.to_yaml())
