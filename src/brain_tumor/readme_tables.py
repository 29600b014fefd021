"""The README's tables in Markdown, of what is in metrics/."""

from collections.abc import Mapping, Sequence
from typing import Any

from brain_tumor import trust
from brain_tumor.report import PROTOCOLS, best_baseline
from brain_tumor.results import Figure, Results


def results_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of results in Markdown.

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


def claims_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of claims in Markdown.

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
    """The tables of audits in Markdown.

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
    """The table of verdicts in Markdown.

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
