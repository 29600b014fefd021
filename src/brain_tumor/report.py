"""Pages for people: one self-contained report a recipe, and the index that compares them."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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


def recipe_page(
    recipe: str,
    block: Mapping[str, Any],
    about: Mapping[str, Any],
    card: Mapping[str, Any],
    metrics: Mapping[str, Any],
    results: Results,
    suspects: Sequence[Mapping[str, Any]],
    maps: Sequence[Mapping[str, str]],
    pictures: Mapping[str, bytes],
    sheets: Sequence[str],
    commit: str,
) -> str:
    """Render the report of a recipe; pictures (PNG) are embedded, so that the page stands alone.

    Args:
        block: the recipe's parameters.
        about: the data set's `about`.
        card: the content of model.json.
        metrics: contents of audit, split and train.json by these names.
        results: what `evaluate` found.
        suspects: rows whose label may be wrong.
        maps: the figures of heat maps: map, class, figure, n, value, low, high.
        pictures: audit, leaks, enhance, curves, the charts of the evaluation, mean, removal and randomized of the maps,
            and one for each name in `sheets`.
        commit: the commit that last changed the training code.
    """
    located, methods = trust.spans(maps), tuple(block["explain"]["methods"])
    page = pages.get_template("report.html").render(
        recipe=recipe,
        block={"published": None, **block},
        about=about,
        card=card,
        **{"audit": {"published_test": 0, **metrics["audit"]}},
        **{name: metrics[name] for name in ("split", "train")},
        results=results,
        headline=HEADLINE + _two_classes(card["classes"]),
        sets=SETS,
        by_class=BY_CLASS,
        few=FEW,
        sentence=sentence(results),
        **dict(zip(("same", "missing"), _by_protocol(block.get("published"), results), strict=True)),
        suspects=suspects,
        located=located,
        by_class_of_maps=_by_class(maps),
        map_figures=MAP_FIGURES,
        area_figures=AREA_FIGURES,
        trusted=trust.ranking(located, methods),
        trust_sentence=trust.sentence(located, methods),
        methods=methods,
        pictures={name: base64.b64encode(content).decode() for name, content in pictures.items()},
        sheets=sheets,
        commit=commit,
        parameters=json.dumps(block, indent=2),
    )
    return page + "\n"


def _by_class(maps: Sequence[Mapping[str, str]]) -> dict[tuple[str, str, str], trust.Span]:
    """The figures of maps by map, class and figure."""
    found: dict[tuple[str, str, str], trust.Span] = {}
    for label in sorted({row["class"] for row in maps} - {""}):
        own = trust.spans({**row, "class": ""} for row in maps if row["class"] == label)
        found |= {(name, label, figure): span for (name, figure), span in own.items()}
    return found


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


def results_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The README's table of results in Markdown.

    Args:
        rows: of each recipe name, dataset, generated, architecture, results (`Results`) and crossval (`Figure` or
            None).
    """
    lines = [
        "| recipe | data | model | accuracy, all test images | copies in training | accuracy, clean test images "
        "| macro F1, clean | best baseline, clean | cross-validated accuracy |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        results: Results = row["results"]
        data = f"{row['dataset']} **(generated images)**" if row["generated"] else row["dataset"]
        copied, mirrored, _ = results.leaked().values()
        leaked = f"{copied + mirrored} ({mirrored} mirrored or rotated)" if copied + mirrored else "none"
        every, clean = (_with_n(results.get("accuracy", subset)) for subset in ("published", "clean"))
        cells = [every, leaked, clean, str(results.get("macro_f1", "clean") or "none"), best_baseline(results)]
        cells.append(_with_n(row["crossval"]) if row["crossval"] else "–")
        lines.append(f"| `{row['name']}` | {data} | {row['architecture']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def best_baseline(results: Results, subset: str = "clean") -> str:
    """The most accurate baseline on a subset, and its accuracy."""
    found = [(figure, name) for name in results.models() if (figure := results.get("accuracy", subset, name))]
    return "none" if not found else "{1}: {0}".format(*max(found))


def claims_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The README's table of claims in Markdown.

    Args:
        rows: of each recipe with a published claim name, dataset, published (its block), results (`Results` or
            None), same (`Figure` by the author's protocol, or None) and crossval (`Figure` or None).
    """
    lines = [
        "| system | data | claimed accuracy | measured on | ours by the same protocol | ours, clean test images "
        "| ours, cross-validated |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        published, name = row["published"], row["name"]
        results: Results | None = row["results"]
        missing = f"not run yet: `make repro RECIPE={name}`"
        clean = _with_n(results.get("accuracy", "clean")) if results else missing
        same = _with_n(row["same"]) if row["same"] else missing if results is None else PROTOCOLS[published["protocol"]]
        crossval = _with_n(row["crossval"]) if row["crossval"] else "not run: see stages/crossval"
        cells = [f"{published['accuracy']:.4g}", published["measured_on"], same, clean, crossval]
        lines.append(f"| `{name}` | {row['dataset']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def audit_table(
    counts: Mapping[str, Mapping[str, Any]], planted: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> str:
    """The README's tables of audits in Markdown.

    Args:
        counts: audit.json by data set, named as it shall be shown.
        planted: by data set, recall and precision of copies planted to measure the audit, by alteration.
    """
    lines = [
        "| data set | images | distinct files | distinct pictures | groups | groups of several classes "
        "| published test images | of them with a copy in training | mirrored or rotated only |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, found in counts.items():
        keys = ("images", "distinct_files", "distinct_images", "groups", "groups_of_several_classes")
        test = [found.get(key, "–") for key in ("published_test", "leaked_copies", "leaked_mirrored_only")]
        lines.append(f"| {name} | {' | '.join(str(value) for value in [*(found[key] for key in keys), *test])} |")
    if planted:
        names = list(next(iter(planted.values())))
        lines += [
            "",
            f"| recall of planted copies, turned in all eight ways | {' | '.join(names)} | lowest precision |",
        ]
        lines.append("|---" * (len(names) + 2) + "|")
    for name, rates in planted.items():
        recall = [f"{rates[alteration]['recall']:.3f}" for alteration in names]
        lowest = min(rate["precision"] for rate in rates.values())
        lines.append(f"| in {name} | {' | '.join(recall)} | {lowest:.3f} |")
    return "\n".join(lines) + "\n"


def trust_table(
    rows: Sequence[tuple[str, bool, Sequence[tuple[str, Sequence[trust.Check], str]], Mapping[str, Any]]],
) -> str:
    """The README's table of verdicts in Markdown.

    Args:
        rows: of each recipe its name, whether its images are generated, `trust.ranking`, and what the study of
            permuted labels found, empty if it was not made.
    """
    titles = (
        "marks what the model uses",
        "changes when untrained",
        "holds still",
        "finds the tumor",
        "stays on the head",
        "changes with permuted labels",
        "verdict",
    )
    lines = [f"| recipe | method | {' | '.join(titles)} |", "|---" * (len(titles) + 2) + "|"]
    for name, generated, ranking, permuted in rows:
        for method, checks, verdict in ranking:
            likeness = permuted.get(method, {}).get("rank_correlation")
            study = "–"
            if likeness is not None:
                changes = "no" if permuted[method]["unchanged"] else "yes"
                study = f"{changes if permuted['learned'] else 'not decided'} ({likeness:.2f})"
            cells = [*(check.verdict for check in checks), study, verdict]
            note = " **(generated images)**" if generated else ""
            lines.append(f"| `{name}`{note} | {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _with_n(figure: Figure | None) -> str:
    return f"{figure}, n = {figure.n:,}" if figure else "none"
