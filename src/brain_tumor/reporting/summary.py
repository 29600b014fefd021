"""The accuracies of a recipe in one record: as published, on the test images, and by patient."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from brain_tumor.core.subsets import CLEAN, PUBLISHED
from brain_tumor.metrics.bootstrap import Estimate
from brain_tumor.plotting.claims import ALL, CLAIM, Accuracy, Claim
from brain_tumor.plotting.evaluation import COLORS
from brain_tumor.reporting.results import Results
from brain_tumor.reporting.sentences import BY_PATIENT, protocol_subset

NO_STUDIES: Mapping[str, Any] = {"patients": None, "crossval": None, "protocol": None, "external": {}}


class Subject(NamedTuple):
    """What is trained on what.

    Attributes:
        recipe: its name.
        dataset: name of the data set.
        generated: whether its images are generated.
        architecture: the network's name in timm.
        published: the block `published` of the recipe, None without one.
    """

    recipe: str
    dataset: str
    generated: bool
    architecture: str
    published: Mapping[str, Any] | None


def summarize_recipe(subject: Subject, results: Results, studies: Mapping[str, Any]) -> dict[str, Any]:
    """Summarize a recipe for the index, as JSON.

    Args:
        results: the content of metrics.csv.
        studies: of `summarize_studies`.

    Returns:
        The fields of `subject`; `test` and `clean`, the accuracy on these images; `duplicates`, the number of test
        images with a duplicate in training; `same_protocol`, the accuracy by the protocol of the published result;
        `by_patient`, the accuracy on patients or groups not in training and the `kind` of its measurement; `baseline`,
        name and accuracy of the best baseline on the same images; `studies`. Accuracies are value, low and high end of
        the interval, and n; None where there is none.
    """
    test, clean = (numbers(results.get("accuracy", subset)) for subset in (PUBLISHED, CLEAN))
    same = None
    if subject.published:
        protocol = subject.published["protocol"]
        same = studies["protocol"]
        if protocol != "selected on test":
            same = numbers(results.get("accuracy", protocol_subset(protocol)))
    by_patient, baseline = None, best_of(results, CLEAN if clean else PUBLISHED)
    if studies["patients"]:
        by_patient = {"kind": "patients", "accuracy": studies["patients"]["accuracy"]}
        baseline = studies["patients"]["baseline"]
    elif studies["crossval"]:
        by_patient, baseline = {"kind": "crossval", "accuracy": studies["crossval"]}, None
    elif clean:
        by_patient = {"kind": "clean", "accuracy": clean}
    leaks = results.count_leaks()
    return subject._asdict() | {
        "test": test,
        "clean": clean,
        "duplicates": leaks["duplicate"] + leaks["transformed_duplicate"],
        "same_protocol": same,
        "by_patient": by_patient,
        "baseline": baseline,
        "studies": dict(studies),
    }


def summarize_studies(
    by_patient: Results | None,
    crossval: Estimate | None,
    protocol: Estimate | None,
    external: Mapping[str, Estimate],
) -> dict[str, Any]:
    """Summarize the studies of a recipe, as JSON.

    Args:
        by_patient: the content of patients.csv, None if the study was not run; so are the others.
        crossval: accuracy of repeated cross-validation.
        protocol: accuracy by the published protocol, where a study measures it.
        external: accuracy by other data set.
    """
    patients = None
    if by_patient:
        accuracy = numbers(by_patient.get("accuracy", "all"))
        patients = {"accuracy": accuracy, "baseline": best_of(by_patient, "all")}
    return {
        "patients": patients,
        "crossval": numbers(crossval),
        "protocol": numbers(protocol),
        "external": {dataset: numbers(estimate) for dataset, estimate in external.items()},
    }


def best_of(results: Results, subset: str) -> dict[str, Any] | None:
    """Return name and accuracy of the most accurate baseline on a subset, None without any."""
    accuracies = [(one, name) for name in results.baselines(subset) if (one := results.get("accuracy", subset, name))]
    return {"name": max(accuracies)[1], "accuracy": numbers(max(accuracies)[0])} if accuracies else None


def numbers(estimate: Estimate | None) -> list[float] | None:
    """Return value, low and high end of the interval, and n, as JSON."""
    return [*estimate[:3], estimate.n] if estimate else None


def headline_metrics(summary: Mapping[str, Any]) -> dict[str, float]:
    """Select the few numbers of a summary that `dvc metrics diff` shows; those that there are."""
    by_patient = summary["by_patient"]["accuracy"] if summary["by_patient"] else (None,) * 3
    test, baseline = summary["test"], summary["baseline"]
    values = {
        "test_accuracy": test[0] if test else None,
        "patient_accuracy": by_patient[0],
        "patient_accuracy_low": by_patient[1],
        "patient_accuracy_high": by_patient[2],
        "best_baseline_accuracy": baseline["accuracy"][0] if baseline else None,
    }
    return {name: value for name, value in values.items() if value is not None}


def list_accuracies(summary: Mapping[str, Any]) -> list[Accuracy]:
    """List what a chart of one recipe draws of its summary: the published result, ours, and the best baseline."""
    rows = []
    if summary["published"]:
        claim = summary["published"]["accuracy"]
        rows.append(Accuracy(CLAIM, claim, claim, claim, 0, "#000000", "D"))
    by_patient, baseline = summary["by_patient"], summary["baseline"]
    lines = [("ours, by the published protocol", summary["same_protocol"], "#8073ac", "s")]
    if not by_patient or by_patient["accuracy"] != summary["test"]:
        lines.append((ALL, summary["test"], COLORS[PUBLISHED], "o"))
    if by_patient:
        lines.append((BY_PATIENT[by_patient["kind"]], by_patient["accuracy"], COLORS[CLEAN], "^"))
    if baseline:
        lines.append((f"best baseline: {baseline['name']}", baseline["accuracy"], "#888888", "s"))
    for name, interval, color, marker in lines:
        if interval:
            value, low, high, n = interval
            rows.append(Accuracy(name, value, low, high, int(n), color, marker))
    return rows


def make_claim(summary: Mapping[str, Any]) -> Claim:
    """Select what a chart of claims draws of a summary."""
    by_patient, baseline = summary["by_patient"], summary["baseline"]
    return Claim(
        f"{summary['recipe']}\n{summary['dataset']}{' (generated images)' if summary['generated'] else ''}",
        summary["published"]["accuracy"] if summary["published"] else None,
        None if by_patient and by_patient["accuracy"] == summary["test"] else summary["test"],
        by_patient["accuracy"] if by_patient else None,
        baseline["accuracy"] if baseline else None,
    )
