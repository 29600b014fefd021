"""What the metrics of a recipe say, in sentences."""

from collections.abc import Mapping
from typing import Any

from brain_tumor.core.subsets import CLEAN, PUBLISHED
from brain_tumor.reporting.results import Results

# By `recipes.<name>.primary`: what stands for the recipe, and where it is measured.
PRIMARY_FIGURES = {
    "patients": "cross-validation by patients (stages/patients), on a page of its own in reports/patients",
    "clean": "test images of patients that have no image in training or validation",
    "crossval": "repeated cross-validation by groups, patients unknown (stages/crossval)",
    "test": "all test images, which may be of patients in training",
}
# By the kind of the figure by patient: where it is measured.
BY_PATIENT = {
    "patients": "cross-validation by patients",
    "crossval": "cross-validation by groups of related images, patients unknown",
    "clean": "test images of patients not in training",
}
# By the protocol of a published result, why ours by the same protocol may be missing.
PROTOCOLS = {
    "test": "",
    "train": "not measured: add `train` to its `evaluate.extra_splits`",
    "validation": "not measured: add `validation` to its `evaluate.extra_splits`",
    "selected on test": "not measured here: see stages/protocol",
}


def protocol_subset(protocol: str) -> str:
    """Return the subset of metrics.csv that a published protocol measures on."""
    return PUBLISHED if protocol == "test" else protocol


def headline_text(results: Results) -> str:
    """Summarize in one sentence how many test images leak, and the accuracy with and without them."""
    published, clean = (results.get("accuracy", subset) for subset in (PUBLISHED, CLEAN))
    if published is None:
        return "There are no test images."
    duplicates, transformed, same_group, unknown = results.count_leaks().values()
    parts = []
    if duplicates + transformed:
        detail = f" ({transformed:,} of them mirrored or rotated)" if transformed else ""
        parts.append(f"{duplicates + transformed:,} have a duplicate in the training or validation images{detail}")
    if same_group:
        more = "more " if parts else ""
        parts.append(f"{same_group:,} {more}have an adjacent slice or another slice of the same patient there")
    if not parts and not unknown:
        return (
            f"None of the {published.n:,} test images is of a patient in training or validation; "
            f"accuracy {published.value:.3f}."
        )
    if unknown == published.n:
        return (
            f"No related image of the {unknown:,} test images was found in training or validation, but their patients "
            f"are not known: there is no clean figure. Accuracy {published.value:.3f}."
        )
    if unknown:
        parts.append(f"the patients of {unknown:,} {'others ' if parts else ''}are not known")
    text = f"Of {published.n:,} test images, {' and '.join(parts)}. Accuracy on all test images: {published.value:.3f}"
    if clean is None:
        return f"{text}. No image is known to be of a patient without images in training: there is no clean figure."
    return f"{text}; on the {clean.n:,} clean ones: {clean.value:.3f}."


def class_composition(results: Results, subset: str) -> str:
    """Return the number of images of each class of a subset, as `3 glioma, 2 notumor`."""
    return ", ".join(f"{count:,} {label}" for label, count in results.class_counts(subset).items())


def best_baseline(results: Results, subset: str = "") -> str:
    """Return name and accuracy of the most accurate baseline on a subset, `none` without any.

    Args:
        subset: '' for the clean rows, or all rows where none is clean.
    """
    subset = subset or results.leading_subset()
    accuracies = [
        (accuracy, name) for name in results.baselines(subset) if (accuracy := results.get("accuracy", subset, name))
    ]
    return "none" if not accuracies else "{1}: {0}".format(*max(accuracies))


def describe_model(config: Mapping[str, Any], info: Mapping[str, Any], num_training_images: int) -> str:
    """Say what the model is: network, classes and training data.

    Args:
        config: the content of model.json.
        info: `datasets.<name>.info` of params.yaml.
    """
    kind = "generated" if info["generated"] else "single"
    return (
        f"{config['architecture']} sorts {kind} MRI slices into {', '.join(config['classes'][:-1])} or "
        f"{config['classes'][-1]}; it was trained on {num_training_images:,} images of “{info['title']}”."
    )


def describe_accuracy(summary: Mapping[str, Any]) -> str:
    """Say how good a model is on patients not in training, or that this is not known.

    Args:
        summary: of `summarize_recipe`.
    """
    test = summary["test"]
    if test is None:
        return "There are no test images."
    figure, baseline = summary["by_patient"], summary["baseline"]
    if figure is None:
        leaks = summary["duplicates"]
        detail = f", {leaks:,} of which have a duplicate in training" if leaks else ""
        text = (
            f"How good it is on patients not in training is not known: it is right on {percent(test)} of the "
            f"{test[3]:,} test images{detail}, and no test image is known to be of another patient"
        )
    else:
        where = BY_PATIENT[figure["kind"]]
        text = f"It is right on {percent(figure['accuracy'])} of {figure['accuracy'][3]:,} images ({where})"
    return (
        f"{text}; the best baseline without deep learning on {percent(baseline['accuracy'])}."
        if baseline
        else f"{text}."
    )


def percent(interval: list[float]) -> str:
    """Format an accuracy with its interval in percent."""
    value, low, high = (100 * number for number in interval[:3])
    return f"{value:.1f} % ({low:.1f}–{high:.1f} %)"
