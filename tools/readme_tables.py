"""The tables of the documentation, in Markdown, from the values in metrics/."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from brain_tumor.attribution.verdict import Check
from brain_tumor.core.subsets import CLEAN, PUBLISHED
from brain_tumor.metrics.bootstrap import Estimate
from brain_tumor.reporting.results import Results
from brain_tumor.reporting.sentences import PROTOCOLS, best_baseline
from brain_tumor.reporting.summary import Subject, summarize_recipe, summarize_studies

CLAIM_DIGITS = 4  # of accuracies that are compared with published ones, which are close to 1


class RecipeResults(NamedTuple):
    """A recipe and its results.

    Attributes:
        name: of the recipe.
        dataset: its data set.
        generated: whether the images are generated.
        architecture: the network's name in timm.
        published: the block `published` of the recipe; None if it reproduces no published system.
        results: what `evaluate` measured; None if the recipe has not been run.
        same_protocol: our accuracy by the published protocol, if measured.
        crossval: the accuracy of repeated cross-validation, if measured.
        crossval_counts: the number of images of each class in it.
        primary: a key of PRIMARY_FIGURES.
        by_patient: what the cross-validation by patients measured, if it was run.
        external: accuracy by other data set, if measured.
    """

    name: str
    dataset: str
    generated: bool
    architecture: str
    published: Mapping[str, Any] | None
    results: Results | None
    same_protocol: Estimate | None
    crossval: Estimate | None
    crossval_counts: Sequence[int]
    primary: str
    by_patient: Results | None
    external: Mapping[str, Estimate]

    def summary(self) -> dict[str, Any]:
        """Summarize the results, as JSON."""
        assert self.results
        by_study = self.published is not None and self.published["protocol"] == "selected on test"
        studies = summarize_studies(
            self.by_patient, self.crossval, self.same_protocol if by_study else None, self.external
        )
        subject = Subject(self.name, self.dataset, self.generated, self.architecture, self.published)
        return summarize_recipe(subject, self.results, studies)

    def primary_accuracy(self) -> str:
        """Format the accuracy that stands for the recipe, and where it is measured."""
        results = self.results
        assert results
        cells = {
            "patients": ("by patient or group", _get(self.by_patient, "all"), _counts(self.by_patient, "all")),
            "clean": ("patients not in training", results.get("accuracy", CLEAN), _counts(results, CLEAN)),
            "crossval": ("cross-validation by groups", self.crossval, self.crossval_counts),
            "test": ("test images", results.get("accuracy"), _counts(results)),
        }
        where, estimate, counts = cells[self.primary]
        text = f"{where}: {_with_n(estimate, counts) if estimate else 'not measured'}"
        if self.primary == "patients" and self.by_patient and (known := self.by_patient.get("accuracy", CLEAN)):
            text += f"; known patients alone: {_with_n(known, _counts(self.by_patient, CLEAN))}"
        return text

    def accuracy_by_patient(self) -> str:
        """Format the accuracy on patients or groups not in training, with the best baseline on the same images.

        Without such images: the accuracy on other data sets.
        """
        assert self.results
        if self.by_patient and (estimate := _get(self.by_patient, "all")):
            return f"{_with_n(estimate)}; best baseline, {best_baseline(self.by_patient, 'all')}"
        if self.crossval:
            return _with_n(self.crossval)
        if estimate := self.results.get("accuracy", CLEAN):
            return f"{_with_n(estimate)}; best baseline, {best_baseline(self.results, CLEAN)}"
        if not self.external:
            return "none"
        return f"none: all test images are of known patients; other data sets: {_format_external(self.external)}"

    def primary_baseline(self) -> str:
        """Format the best baseline on the images of the primary figure."""
        assert self.results
        if self.primary == "patients":
            return best_baseline(self.by_patient, "all") if self.by_patient else "not measured"
        if self.primary == "crossval":
            return "not measured"
        return best_baseline(self.results, CLEAN if self.primary == "clean" else PUBLISHED)


class RecipeVerdicts(NamedTuple):
    """The checks of a recipe's heat maps.

    Attributes:
        name: of the recipe.
        generated: whether the images are generated.
        ranking: method, checks and verdict, from `verdict.rank_methods`.
        permuted: the content of permuted.json; empty if the study was not run.
    """

    name: str
    generated: bool
    ranking: Sequence[tuple[str, Sequence[Check], str]]
    permuted: Mapping[str, Any]


def format_main_table(recipes: Sequence[RecipeResults]) -> str:
    """Format the main results: a row for each recipe that has been run."""
    header = (
        "recipe",
        "data set",
        "model",
        "accuracy, primary figure",
        "best baseline, same images",
        "accuracy, all test images of the split",
        "with a duplicate in training",
        "accuracy, other data sets",
    )
    rows = []
    for recipe in recipes:
        if (results := recipe.results) is None:
            continue
        cells = [format_name(recipe.name, recipe.generated), recipe.dataset, recipe.architecture]
        cells += [recipe.primary_accuracy(), recipe.primary_baseline()]
        cells += [_with_n(results.get("accuracy"), _counts(results)), _count_duplicates(results)]
        rows.append([*cells, _format_external(recipe.external)])
    return format_table(header, rows)


def format_results_table(recipes: Sequence[RecipeResults]) -> str:
    """Format all results: a row for each recipe that has been run."""
    header = (
        "recipe",
        "data set",
        "accuracy, all test images",
        "macro F1, all",
        "accuracy, clean test images",
        "macro F1, clean",
        "MCC, clean",
        "AUROC, clean",
        "accuracy, cross-validated",
        "accuracy, by patient",
        "balanced accuracy, by patient",
        "calibration error, by patient",
        "best baseline, by patient",
    )
    rows = []
    for recipe in recipes:
        if (results := recipe.results) is None:
            continue
        row = [format_name(recipe.name, recipe.generated), recipe.dataset]
        row += [_with_n(results.get("accuracy"), _counts(results)), _or_none(results.get("macro_f1"))]
        row += [_with_n(results.get("accuracy", CLEAN), _counts(results, CLEAN))]
        row += [_or_none(results.get(metric, CLEAN)) for metric in ("macro_f1", "mcc", "auroc")]
        row.append(_with_n(recipe.crossval, recipe.crossval_counts) if recipe.crossval else "–")
        if (by_patient := recipe.by_patient) is None:
            rows.append([*row, *["–"] * 4])
            continue
        row.append(_with_n(_get(by_patient, "all"), _counts(by_patient, "all")))
        row += [_or_none(by_patient.get(metric, "all")) for metric in ("balanced_accuracy", "calibration_error")]
        rows.append([*row, best_baseline(by_patient, "all")])
    return format_table(header, rows)


def format_claims_table(recipes: Sequence[RecipeResults]) -> str:
    """Format published and reproduced accuracy: a row for each published system whose recipe has been run."""
    header = (
        "recipe",
        "data set",
        "published accuracy",
        "measured on",
        "ours, same protocol",
        "ours, by patient or group",
        "departures",
    )
    rows = []
    for recipe in recipes:
        if recipe.published is None or recipe.results is None:
            continue
        published = [f"{recipe.published['accuracy']:.4g}", str(recipe.published["measured_on"])]
        same = recipe.same_protocol
        cells = [_with_n(same, digits=CLAIM_DIGITS) if same else PROTOCOLS[recipe.published["protocol"]]]
        cells.append(recipe.accuracy_by_patient())
        system = str(recipe.published["title"])
        system = f"[{system}]({recipe.published['url']})" if recipe.published["url"] else system
        name = f"{format_name(recipe.name, recipe.generated)}: {system}, {recipe.published['author']}"
        rows.append([name, recipe.dataset, *published, *cells, "; ".join(recipe.published["departures"])])
    return format_table(header, rows)


def format_audit_table(counts: Mapping[str, Mapping[str, Any]]) -> str:
    """Format the audits: the content of audit.json by name of the data set."""
    columns = {
        "images": "images",
        "distinct_files": "distinct files",
        "unique_images": "unique images",
        "groups": "groups",
        "groups_of_several_classes": "groups of several classes",
        "published_test": "published test images",
        "leaked_duplicates": "with a duplicate in training",
        "leaked_transformed_only": "only mirrored or rotated",
    }
    rows = [[name, *(str(audit.get(key, "–")) for key in columns)] for name, audit in counts.items()]
    return format_table(("data set", *columns.values()), rows)


def format_duplicates_table(rates: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Format the recall of the audit on synthetic duplicates.

    Args:
        rates: `precision` and `recall` by alteration, by name of the data set.
    """
    if not rates:
        return ""
    header = [f"{name}, {figure}" for name in rates for figure in ("recall", "precision")]
    rows = [
        [
            alteration,
            *(f"{own[alteration][figure]:.3f}" for own in rates.values() for figure in ("recall", "precision")),
        ]
        for alteration in next(iter(rates.values()))
    ]
    return format_table(("alteration", *header), rows)


def format_verdicts_table(recipes: Sequence[RecipeVerdicts]) -> str:
    """Format the checks of heat maps: a row for each recipe and method."""
    header = (
        "recipe",
        "method",
        "faithful",
        "passes randomization test",
        "stable",
        "localizes the tumor",
        "relevance on the head",
        "changes with permuted labels",
        "verdict",
    )
    rows = []
    for recipe in recipes:
        for method, checks, verdict in recipe.ranking:
            correlation = recipe.permuted.get(method, {}).get("rank_correlation")
            study = "–"
            if correlation is not None:
                changes = "no" if recipe.permuted[method]["unchanged"] else "yes"
                study = f"{changes if recipe.permuted['learned'] else 'not decided'} ({correlation:.2f})"
            cells = [*(check.verdict for check in checks), study, verdict]
            rows.append([format_name(recipe.name, recipe.generated), method, *cells])
    return format_table(header, rows)


def format_name(name: str, generated: bool) -> str:
    """Format the name of a recipe or data set, with a note if its images are generated."""
    return f"`{name}`{' **(generated images)**' if generated else ''}"


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table."""
    lines = [f"| {' | '.join(cells)} |\n" for cells in (header, *rows)]
    return "".join([lines[0], f"{'|---' * len(header)}|\n", *lines[1:]])


def replace_section(text: str, name: str, content: str) -> str:
    """Replace the text between the markers of a section.

    Raises:
        ValueError: the markers are missing.
    """
    start, end = f"<!-- {name}: generated by `make readme` -->\n", f"<!-- end of {name} -->"
    before, is_start, rest = text.partition(start)
    _, is_end, after = rest.partition(end)
    if not (is_start and is_end):
        raise ValueError(f"a page lacks the markers {start.strip()} and {end}")
    return before + start + content + end + after


def _count_duplicates(results: Results) -> str:
    """Count the test images with a duplicate in training."""
    duplicates, transformed, *_ = results.count_leaks().values()
    total = duplicates + transformed
    return f"{total:,} ({transformed:,} only mirrored or rotated)" if total else "0"


def _with_n(estimate: Estimate | None, counts: Sequence[int] = (), digits: int | None = None) -> str:
    """Format an estimate with n, with the number of images of each class if given, and with `digits` decimals."""
    if not estimate:
        return "none"
    classes = f" ({' + '.join(f'{count:,}' for count in counts)})" if counts else ""
    text = str(estimate)
    if digits is not None:
        text = f"{estimate.value:.{digits}f} ({estimate.low:.{digits}f}–{estimate.high:.{digits}f})"
    return f"{text}, n = {estimate.n:,}{classes}"


def _get(results: Results | None, subset: str) -> Estimate | None:
    return results.get("accuracy", subset) if results else None


def _counts(results: Results | None, subset: str = PUBLISHED) -> list[int]:
    return list(results.class_counts(subset).values()) if results else []


def _format_external(accuracies: Mapping[str, Estimate]) -> str:
    return "; ".join(f"{name}: {_with_n(accuracy)}" for name, accuracy in accuracies.items()) or "–"


def _or_none(estimate: Estimate | None) -> str:
    return str(estimate) if estimate else "none"
