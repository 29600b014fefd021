"""Pages for people: one self-contained report a recipe, and the index that compares them."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from brain_tumor.leakage import LEAKS

HEADLINE = (
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "balanced accuracy"),
    ("macro_f1", "macro F1"),
    ("weighted_f1", "weighted F1"),
    ("auroc", "AUROC (one against the rest, macro)"),
)

_pages = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
)


def recipe_page(
    recipe: str,
    block: Mapping[str, Any],
    about: Mapping[str, Any],
    card: Mapping[str, Any],
    metrics: Mapping[str, Any],
    pictures: Mapping[str, bytes],
    sheets: Sequence[str],
    commit: str,
) -> str:
    """Render the report of a recipe; pictures (PNG) are embedded, so that the page stands alone.

    Args:
        block: the recipe's parameters.
        about: the data set's `about`.
        card: the content of model.json.
        metrics: contents of audit, split, train and test.json by these names.
        pictures: audit, leaks, enhance, curves and confusion, and one for each name in `sheets`.
        commit: the commit that last changed the training code.
    """
    page = _pages.get_template("report.html").render(
        recipe=recipe,
        block={"claim": None, **block},
        about=about,
        card=card,
        **{"audit": {"published_test": 0, **metrics["audit"]}},
        **{name: metrics[name] for name in ("split", "train", "test")},
        headline=HEADLINE,
        sentence=sentence(metrics["test"]),
        pictures={name: base64.b64encode(content).decode() for name, content in pictures.items()},
        sheets=sheets,
        commit=commit,
        parameters=json.dumps(block, indent=2),
    )
    return page + "\n"


def index_page(rows: Sequence[Mapping[str, Any]]) -> str:
    """Render the index over the summaries of the recipes' reports."""
    return _pages.get_template("index.html").render(rows=rows) + "\n"


def sentence(test: Mapping[str, Any]) -> str:
    """Say in plain words what the test images are worth."""
    every, clean = test["published"], test["clean"]
    copied, mirrored, related = (test["by_leak"][kind]["n"] for kind in LEAKS)
    parts = []
    if copied + mirrored:
        only = f" ({mirrored:,} of them mirrored or rotated)" if mirrored else ""
        parts.append(f"{copied + mirrored:,} have a copy among the images used for training or selection{only}")
    if related:
        parts.append(
            f"{related:,} {'more ' if parts else ''}show a neighboring slice or another one of the same patient"
        )
    if not parts:
        return f"None of {every['n']:,} test images has a known copy in training; accuracy {every['accuracy']:.3f}."
    words = f"Of {every['n']:,} test images, {' and '.join(parts)}; accuracy on all: {every['accuracy']:.3f}"
    return words + (f"; on the other {clean['n']:,}: {clean['accuracy']:.3f}." if clean["n"] else "; no other is left.")


def results_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The README's table of results in Markdown, from the summaries of recipes."""
    lines = [
        "| recipe | data | model | accuracy, all test images | copies in training | accuracy, clean test images "
        "| macro F1, clean |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        data = f"{row['dataset']} **(generated images)**" if row["generated"] else row["dataset"]
        copied, mirrored, _ = (row["by_leak"][kind]["n"] for kind in LEAKS)
        leaked = f"{copied + mirrored} ({mirrored} mirrored or rotated)" if copied + mirrored else "none"
        cells = [_interval(row["published"], "accuracy"), leaked, _interval(row["clean"], "accuracy")]
        cells.append(_interval(row["clean"], "macro_f1", count=False))
        lines.append(f"| `{row['recipe']}` | {data} | {row['architecture']} | {' | '.join(cells)} |")
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


def _interval(figures: Mapping[str, Any], key: str, count: bool = True) -> str:
    if not figures["n"]:
        return "none"
    low, high = figures["interval"][key]
    return f"{figures[key]:.3f} ({low:.3f}–{high:.3f})" + (f", n = {figures['n']}" if count else "")
