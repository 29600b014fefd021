"""Pages for people: one self-contained report a recipe, and the index that compares them."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from brain_tumor import trust
from brain_tumor.results import Figure, Results

FEW = trust.FEW  # rows below which a subgroup says nothing
HEADLINE = (
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "balanced accuracy"),
    ("macro_f1", "macro F1"),
    ("mcc", "Matthews correlation"),
    ("kappa", "Cohen's kappa"),
    ("auroc", "AUROC (one against the rest, macro)"),
    ("auprc", "AUPRC (one against the rest, macro)"),
    ("brier", "Brier score"),
    ("log_loss", "log loss"),
    ("ece", "calibration error (15 bins of equal mass)"),
    ("classwise_ece", "calibration error by class"),
)
TWO_CLASSES = (
    ("sensitivity_at_point", "sensitivity for {}, operating point"),
    ("specificity_at_point", "specificity for {}, operating point"),
    ("sensitivity_at_95_specificity", "sensitivity for {} at 95 % specificity"),
    ("specificity_at_95_sensitivity", "specificity for {} at 95 % sensitivity"),
)
SETS = (
    ("coverage_at_90", "sets for 90 %: the true class is in"),
    ("set_size_at_90", "sets for 90 %: mean number of classes"),
    ("coverage_at_95", "sets for 95 %: the true class is in"),
    ("set_size_at_95", "sets for 95 %: mean number of classes"),
)
BY_CLASS = (
    ("precision", "precision"),
    ("recall", "recall (sensitivity)"),
    ("specificity", "specificity"),
    ("f1", "F1"),
    ("auroc", "AUROC"),
    ("auprc", "AUPRC"),
    ("coverage_at_90", "in its 90 % set"),
)
MAP_FIGURES = (
    ("pointing", "highest value inside (pointing game)"),
    ("relevance_inside", "relevance inside"),
    ("iou_best", "IoU, best threshold"),
    ("iou_half", "IoU, threshold at half"),
)
AREA_FIGURES = (
    ("outside_head", "outside the head"),
    ("borders", "on the outermost 4 %"),
    ("corners", "in the corners"),
    ("text", "on burnt-in text"),
)
# By the protocol of a claim, what is missing to follow it.
PROTOCOLS = {
    "test": "",
    "train": "add `train` to its `evaluate.also`",
    "validation": "add `validation` to its `evaluate.also`",
    "selected on test": "not run: see stages/protocol",
}

pages = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
)


class Known(NamedTuple):
    """What is known of a recipe's model.

    Attributes:
        recipe: its name.
        block: its parameters.
        about: the data set's `about`.
        card: the content of model.json.
        metrics: contents of audit, split and train.json by these names.
        results: what `evaluate` found.
        maps: the figures of heat maps: map, class, figure, n, value, low, high.
    """

    recipe: str
    block: Mapping[str, Any]
    about: Mapping[str, Any]
    card: Mapping[str, Any]
    metrics: Mapping[str, Any]
    results: Results
    maps: Sequence[Mapping[str, str]]

    def words(self) -> dict[str, Any]:
        """What the templates of report and model card share."""
        located, methods = trust.spans(self.maps), tuple(self.block["explain"]["methods"])
        return {
            **{name: getattr(self, name) for name in ("recipe", "about", "card", "results")},
            **{name: self.metrics[name] for name in ("split", "train")},
            "sentence": sentence(self.results),
            "trusted": trust.ranking(located, methods),
            "trust_sentence": trust.sentence(located, methods),
        }


def recipe_page(
    known: Known,
    suspects: Sequence[Mapping[str, Any]],
    pictures: Mapping[str, bytes],
    sheets: Sequence[str],
    commit: str,
) -> str:
    """Render the report of a recipe; pictures (PNG) are embedded, so that the page stands alone.

    Args:
        suspects: rows whose label may be wrong.
        pictures: audit, leaks, enhance, curves, the charts of the evaluation, mean, removal and randomized of the maps,
            and one for each name in `sheets`.
        commit: the commit that last changed the training code.
    """
    page = pages.get_template("report.html").render(
        **known.words(),
        block={"published": None, **known.block},
        audit={"published_test": 0, **known.metrics["audit"]},
        headline=HEADLINE + _two_classes(known.card["classes"]),
        sets=SETS,
        by_class=BY_CLASS,
        few=FEW,
        **dict(zip(("same", "missing"), _by_protocol(known.block.get("published"), known.results), strict=True)),
        suspects=suspects,
        located=trust.spans(known.maps),
        by_class_of_maps={label: trust.spans(known.maps, label) for label in known.card["classes"]},
        map_figures=MAP_FIGURES,
        area_figures=AREA_FIGURES,
        methods=known.block["explain"]["methods"],
        pictures={name: base64.b64encode(content).decode() for name, content in pictures.items()},
        sheets=sheets,
        commit=commit,
        parameters=json.dumps(known.block, indent=2),
    )
    return page + "\n"


def _by_protocol(published: Mapping[str, Any] | None, results: Results) -> tuple[Figure | None, str]:
    """Our figure by the protocol of a claim, as far as `evaluate` has it, or what is missing for it."""
    if not published:
        return None, ""
    return results.get("accuracy", protocol_subset(published["protocol"])), PROTOCOLS[published["protocol"]]


def protocol_subset(protocol: str) -> str:
    """The subset of the table of figures that a protocol measures on."""
    return "published" if protocol == "test" else f"{protocol} rows"


def _two_classes(classes: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple((key, title.format(classes[0])) for key, title in TWO_CLASSES) if len(classes) == 2 else ()


def index_page(rows: Sequence[Mapping[str, Any]]) -> str:
    """Render the index over the summaries of the recipes' reports."""
    return pages.get_template("index.html").render(rows=rows) + "\n"


def sentence(results: Results) -> str:
    """Say in plain words what the test images are worth."""
    every, clean = (results.get("accuracy", subset) for subset in ("published", "clean"))
    copied, mirrored, related = results.leaked().values()
    if every is None:
        return "There are no test images."
    parts = []
    if copied + mirrored:
        only = f" ({mirrored:,} of them mirrored or rotated)" if mirrored else ""
        parts.append(f"{copied + mirrored:,} have a copy among the images used for training or selection{only}")
    if related:
        parts.append(
            f"{related:,} {'more ' if parts else ''}show a neighboring slice or another one of the same patient"
        )
    if not parts:
        return f"None of {every.n:,} test images has a known copy in training; accuracy {every.value:.3f}."
    words = f"Of {every.n:,} test images, {' and '.join(parts)}; accuracy on all: {every.value:.3f}"
    return words + (f"; on the other {clean.n:,}: {clean.value:.3f}." if clean else "; no other is left.")


def best_baseline(results: Results, subset: str = "clean") -> str:
    """The most accurate baseline on a subset, and its accuracy."""
    found = [(figure, name) for name in results.models() if (figure := results.get("accuracy", subset, name))]
    return "none" if not found else "{1}: {0}".format(*max(found))
