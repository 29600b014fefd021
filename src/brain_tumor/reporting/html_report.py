"""HTML pages: a self-contained report of each recipe, and an index that compares them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from brain_tumor.attribution import verdict
from brain_tumor.attribution.constants import MIN_IMAGES
from brain_tumor.attribution.verdict import EstimateKey
from brain_tumor.core.subsets import CLEAN, PUBLISHED
from brain_tumor.metrics.bootstrap import Estimate
from brain_tumor.reporting import metric_titles, sentences
from brain_tumor.reporting.images import inline_svg
from brain_tumor.reporting.results import Results

MAX_FIRST_MISTAKES = 14  # shown before the fold
MIN_SUBGROUP_IMAGES = 20  # below which a subgroup is not interpretable

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
        summary: of `summarize_recipe`.
        explanations: the rows of explain.csv.
        label_issues: the rows of label_issues.csv.
        confusion: (K, K) numbers of test images by subset; the rows are the true classes.
        charts: SVG files by name, with title and description.
        sheets: WebP data of contact sheets by name.
        examples, cases, mistakes: test images, `slices.Slice`.
    """

    recipe: str
    params: Mapping[str, Any]
    info: Mapping[str, Any]
    config: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Any]]
    results: Results
    summary: Mapping[str, Any]
    explanations: Sequence[Mapping[str, str]]
    label_issues: Sequence[Mapping[str, Any]]
    confusion: Mapping[str, Sequence[Sequence[int]]] = field(default_factory=dict)
    charts: Mapping[str, str] = field(default_factory=dict)
    sheets: Mapping[str, str] = field(default_factory=dict)
    examples: Sequence[Any] = ()
    cases: Sequence[Any] = ()
    mistakes: Sequence[Any] = ()

    @cached_property
    def estimates(self) -> dict[EstimateKey, Estimate]:
        """Metrics of the explanations over all images."""
        return verdict.read_estimates(self.explanations)

    @cached_property
    def ranking(self) -> verdict.Ranking:
        """The attribution methods with their checks and verdicts, the best first."""
        return verdict.rank_methods(self.estimates, self.params["explain"]["methods"])

    @property
    def subsets(self) -> dict[str, str]:
        """Titles of the subsets of test images that tables compare: one if all or none of them are clean."""
        clean, count = self.results.n(CLEAN), self.results.n()
        return {PUBLISHED: "all", CLEAN: "clean"} if 0 < clean < count else {PUBLISHED: "test images"}

    def list_maps(self, metric: str) -> list[str]:
        """Return the maps, baseline maps included, that have a metric."""
        names = dict.fromkeys(key.map for key in self.estimates)
        return [name for name in names if EstimateKey(name, metric) in self.estimates]

    def template_context(self) -> dict[str, Any]:
        """Return the variables of both templates, report and model card."""
        names = ("recipe", "params", "info", "config", "results", "ranking", "summary", "subsets")
        return {
            **{name: getattr(self, name) for name in names},
            **{name: self.metrics[name] for name in ("audit", "split", "train")},
            "headline": sentences.headline_text(self.results),
            "compositions": {
                subset: sentences.class_composition(self.results, subset) for subset in (PUBLISHED, CLEAN)
            },
            "primary_figure": sentences.PRIMARY_FIGURES[self.params["primary"]],
            "leading": self.results.leading_subset(),
            "sentences": (
                sentences.describe_model(self.config, self.info, self.metrics["train"]["images"]),
                sentences.describe_accuracy(self.summary),
                verdict.summary_sentence(self.ranking),
            ),
            "by_patient_titles": sentences.BY_PATIENT,
        }


def render_report(data: ReportData) -> str:
    """Render the HTML report of a recipe; pictures and charts are embedded, so that it is a single file."""
    published, classes = data.params.get("published"), data.config["classes"]
    protocol = published["protocol"] if published else "test"
    two_classes = tuple((name, title.format(classes[0])) for name, title in metric_titles.TWO_CLASS_METRICS)
    page = templates.get_template("report.html").render(
        **data.template_context() | {"audit": {"published_test": 0, **data.metrics["audit"]}},
        published=published,
        missing_protocol=sentences.PROTOCOLS[protocol],
        headline_metrics=metric_titles.HEADLINE_METRICS + (two_classes if len(classes) == 2 else ()),
        titles=metric_titles,
        min_images=MIN_IMAGES,
        min_subgroup_images=MIN_SUBGROUP_IMAGES,
        label_issues=data.label_issues,
        methods=data.params["explain"]["methods"],
        EstimateKey=EstimateKey,
        estimates=data.estimates,
        class_estimates={label: verdict.read_estimates(data.explanations, label) for label in classes},
        localized_maps=data.list_maps("pointing"),
        perturbed_maps=data.list_maps("deletion"),
        confusion=data.confusion,
        charts={name: inline_svg(svg, name) for name, svg in data.charts.items()},
        sheets=data.sheets,
        examples=data.examples,
        cases=data.cases,
        mistakes=data.mistakes,
        max_first_mistakes=MAX_FIRST_MISTAKES,
        parameters=json.dumps(data.params, indent=2),
    )
    return page + "\n"


def render_index(
    summaries: Sequence[Mapping[str, Any]],
    datasets: Mapping[str, Mapping[str, Any]],
    delivered: Sequence[str],
    claims: str,
) -> str:
    """Render the index page.

    Args:
        summaries: of `summarize_recipe`, of each recipe with metrics.
        datasets: by name, the block `info` of each data set with the counts of its audit.
        delivered: names of the recipes with a report beside the index.
        claims: SVG file of the accuracies as published and by patient.
    """
    page = templates.get_template("index.html").render(
        summaries=summaries,
        datasets=datasets,
        delivered=delivered,
        drawn={summary["dataset"] for summary in summaries if summary["recipe"] in delivered},
        claims=inline_svg(claims, "claims"),
        by_patient_titles=sentences.BY_PATIENT,
        missing_protocols=sentences.PROTOCOLS,
        percent=sentences.percent,
    )
    return page + "\n"
