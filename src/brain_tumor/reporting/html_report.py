"""HTML pages: a self-contained report of each recipe, and an index that compares them."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from brain_tumor.attribution import verdict
from brain_tumor.attribution.constants import MIN_IMAGES
from brain_tumor.attribution.verdict import EstimateKey
from brain_tumor.core.subsets import CLEAN, PUBLISHED
from brain_tumor.metrics.bootstrap import Estimate
from brain_tumor.reporting.results import Results

# Metrics in the tables of the report: name in metrics.csv or explain.csv, and title.
HEADLINE_METRICS = (
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "balanced accuracy"),
    ("macro_f1", "macro F1"),
    ("mcc", "Matthews correlation"),
    ("kappa", "Cohen's kappa"),
    ("auroc", "AUROC (one-vs-rest, macro)"),
    ("auprc", "AUPRC (one-vs-rest, macro)"),
    ("brier", "Brier score"),
    ("log_loss", "log loss"),
    ("calibration_error", "calibration error (root mean square, debiased)"),
)
TWO_CLASS_METRICS = (
    ("sensitivity_at_point", "sensitivity for {}, operating point"),
    ("specificity_at_point", "specificity for {}, operating point"),
    ("sensitivity_at_95_specificity", "sensitivity for {} at 95 % specificity"),
    ("specificity_at_95_sensitivity", "specificity for {} at 95 % sensitivity"),
)
PREDICTION_SET_METRICS = (
    ("coverage_at_90", "90 % prediction sets: coverage of the true class"),
    ("set_size_at_90", "90 % prediction sets: mean number of classes"),
    ("empty_at_90", "90 % prediction sets: fraction of empty sets"),
    ("coverage_at_95", "95 % prediction sets: coverage of the true class"),
    ("set_size_at_95", "95 % prediction sets: mean number of classes"),
    ("empty_at_95", "95 % prediction sets: fraction of empty sets"),
)
CLASS_METRICS = (
    ("precision", "precision"),
    ("recall", "recall (sensitivity)"),
    ("specificity", "specificity"),
    ("f1", "F1"),
    ("auroc", "AUROC"),
    ("auprc", "AUPRC"),
    ("coverage_at_90", "coverage of 90 % sets"),
)
LOCALIZATION_METRICS = (
    ("pointing", "pointing game (maximum inside)"),
    ("relevance_inside", "relevance inside"),
    ("iou_best", "IoU, best threshold"),
    ("iou_half", "IoU, threshold 0.5"),
)
REGION_METRICS = (
    ("outside_head", "outside the head"),
    ("borders", "outermost 4 %"),
    ("corners", "corners"),
    ("text", "burned-in text"),
)
PERTURBATION_METRICS = (
    ("deletion", "deletion (lower is better)"),
    ("insertion", "insertion (higher is better)"),
    ("road", "ROAD (random order: 0)"),
    ("infidelity", "infidelity (0 to 1, lower is better)"),
    ("max_sensitivity", "max-sensitivity (lower is better)"),
)
# By `recipes.<name>.primary`: what stands for the recipe, and where it is measured.
PRIMARY_FIGURES = {
    "patients": "cross-validation by patients (stages/patients), on a page of its own in reports/patients",
    "clean": "test images of patients that have no image in training or validation",
    "crossval": "repeated cross-validation by groups, patients unknown (stages/crossval)",
    "test": "all test images, which may be of patients in training",
}
# By the protocol of a published result, why ours by the same protocol may be missing.
PROTOCOLS = {
    "test": "",
    "train": "not measured: add `train` to its `evaluate.extra_splits`",
    "validation": "not measured: add `validation` to its `evaluate.extra_splits`",
    "selected on test": "not measured here: see stages/protocol",
}

templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
)


@dataclass(frozen=True)
class ReportData:
    """Content of the report and of the model card of a recipe.

    Attributes:
        recipe: its name.
        params: `recipes.<name>` of params.yaml.
        info: `datasets.<name>.info` of params.yaml.
        config: the content of model.json.
        metrics: the contents of audit.json, split.json and train.json, by these names.
        results: the content of metrics.csv.
        explanations: the rows of explain.csv.
        label_issues: the rows of label_issues.csv.
        pictures: PNG files by name: audit, leaks, preprocess, curves, the charts of the evaluation, mean, removal and
            randomized of the maps, and one for each name in `sheets`.
        sheets: names of the contact sheets of heat maps.
    """

    recipe: str
    params: Mapping[str, Any]
    info: Mapping[str, Any]
    config: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Any]]
    results: Results
    explanations: Sequence[Mapping[str, str]]
    label_issues: Sequence[Mapping[str, Any]]
    pictures: Mapping[str, bytes]
    sheets: Sequence[str]

    @cached_property
    def estimates(self) -> dict[EstimateKey, Estimate]:
        """Metrics of the explanations over all images."""
        return verdict.read_estimates(self.explanations)

    @cached_property
    def ranking(self) -> verdict.Ranking:
        """The attribution methods with their checks and verdicts, the best first."""
        return verdict.rank_methods(self.estimates, self.params["explain"]["methods"])

    def list_maps(self, metric: str) -> list[str]:
        """Return the maps, baseline maps included, that have a metric."""
        names = dict.fromkeys(key.map for key in self.estimates)
        return [name for name in names if EstimateKey(name, metric) in self.estimates]

    def template_context(self) -> dict[str, Any]:
        """Return the variables of both templates, report and model card."""
        return {
            **{name: getattr(self, name) for name in ("recipe", "params", "info", "config", "results", "ranking")},
            **{name: self.metrics[name] for name in ("audit", "split", "train")},
            "headline": headline_text(self.results),
            "compositions": {subset: class_composition(self.results, subset) for subset in (PUBLISHED, CLEAN)},
            "primary_figure": PRIMARY_FIGURES[self.params["primary"]],
            "leading": self.results.leading_subset(),
            "explanation_summary": verdict.summary_sentence(self.ranking),
        }


def render_report(data: ReportData) -> str:
    """Render the HTML report of a recipe; the pictures are embedded, so that it is a single file."""
    published, classes = data.params.get("published"), data.config["classes"]
    protocol = published["protocol"] if published else "test"
    two_classes = tuple((name, title.format(classes[0])) for name, title in TWO_CLASS_METRICS)
    page = templates.get_template("report.html").render(
        **data.template_context() | {"audit": {"published_test": 0, **data.metrics["audit"]}},
        published=published,
        same_protocol=data.results.get("accuracy", protocol_subset(protocol)),
        missing_protocol=PROTOCOLS[protocol],
        headline_metrics=HEADLINE_METRICS + (two_classes if len(classes) == 2 else ()),
        prediction_set_metrics=PREDICTION_SET_METRICS,
        class_metrics=CLASS_METRICS,
        localization_metrics=LOCALIZATION_METRICS,
        region_metrics=REGION_METRICS,
        perturbation_metrics=PERTURBATION_METRICS,
        min_images=MIN_IMAGES,
        label_issues=data.label_issues,
        methods=data.params["explain"]["methods"],
        EstimateKey=EstimateKey,
        estimates=data.estimates,
        class_estimates={label: verdict.read_estimates(data.explanations, label) for label in classes},
        localized_maps=data.list_maps("pointing"),
        perturbed_maps=data.list_maps("road"),
        pictures={name: base64.b64encode(content).decode() for name, content in data.pictures.items()},
        sheets=data.sheets,
        parameters=json.dumps(data.params, indent=2),
    )
    return page + "\n"


def protocol_subset(protocol: str) -> str:
    """Return the subset of metrics.csv that a published protocol measures on."""
    return PUBLISHED if protocol == "test" else protocol


def render_index(summaries: Sequence[Mapping[str, Any]]) -> str:
    """Render the index page from the summary.json of each report."""
    return templates.get_template("index.html").render(summaries=summaries) + "\n"


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
