"""The record of a recipe's accuracies."""

import json
from typing import Any

import pandas as pd

from brain_tumor.metrics.bootstrap import Estimate
from brain_tumor.plotting.claims import CLAIM
from brain_tumor.reporting.results import Results
from brain_tumor.reporting.summary import (
    NO_STUDIES,
    Subject,
    headline_metrics,
    list_accuracies,
    make_claim,
    summarize_recipe,
    summarize_studies,
)
from example_results import make_results

CROSSVAL = Estimate(0.7, 0.6, 0.8, 253)
PUBLISHED = {"accuracy": 0.99, "protocol": "selected on test"}


def subject(published: dict[str, Any] | None = None) -> Subject:
    return Subject("r", "d", False, "net", published)


def by_patient() -> Results:
    rows = [("model", 0.8), ("svm", 0.7), ("forest", 0.75)]
    table = pd.DataFrame(rows, columns=["model", "value"])
    return Results(table.assign(subset="all", metric="accuracy", n=70, low=0.6, high=0.9))


def test_summarize_recipe_by_patient_is_the_strictest_that_was_measured() -> None:
    results = make_results((10, 0, 0), 10)
    for studies, kind, accuracy, baseline in (
        (summarize_studies(by_patient(), CROSSVAL, None, {}), "patients", [0.8, 0.6, 0.9, 70], "forest"),
        (summarize_studies(None, CROSSVAL, None, {}), "crossval", [*CROSSVAL[:3], 253], None),
        (NO_STUDIES, "clean", [0.8, 0.5, 0.99, 10], "forest"),
    ):
        summary = summarize_recipe(subject(), results, studies)
        assert summary["by_patient"] == {"kind": kind, "accuracy": accuracy}
        assert (summary["baseline"] or {"name": None})["name"] == baseline
        assert json.loads(json.dumps(summary)) == summary


def test_summarize_recipe_without_clean_images_has_no_figure_by_patient() -> None:
    summary = summarize_recipe(subject(), make_results((14, 6, 0), 0), NO_STUDIES)
    assert summary["by_patient"] is None
    assert summary["clean"] is None
    assert summary["duplicates"] == 20


def test_headline_metrics_are_those_of_the_summary_and_missing_ones_are_left_out() -> None:
    studies = summarize_studies(by_patient(), None, None, {})
    assert headline_metrics(summarize_recipe(subject(), make_results((10, 0, 0), 10), studies)) == {
        "test_accuracy": 0.9, "patient_accuracy": 0.8, "patient_accuracy_low": 0.6, "patient_accuracy_high": 0.9,
        "best_baseline_accuracy": 0.75,
    }  # fmt: skip
    leaked_only = headline_metrics(summarize_recipe(subject(), make_results((14, 6, 0), 0), NO_STUDIES))
    assert "test_accuracy" in leaked_only
    assert "patient_accuracy" not in leaked_only


def test_summarize_recipe_protocol_of_a_study_is_not_the_test_accuracy() -> None:
    results = make_results((0, 0, 0), 20)
    assert summarize_recipe(subject(PUBLISHED), results, NO_STUDIES)["same_protocol"] is None
    studies = summarize_studies(None, None, CROSSVAL, {})
    assert summarize_recipe(subject(PUBLISHED), results, studies)["same_protocol"] == [*CROSSVAL[:3], 253]
    own = summarize_recipe(subject(PUBLISHED | {"protocol": "test"}), results, studies)
    assert own["same_protocol"] == own["test"]


def test_claims_of_a_summary_show_equal_figures_once() -> None:
    results = make_results((0, 0, 0), 20, published=0.8, clean=0.8)
    summary = summarize_recipe(subject(PUBLISHED), results, NO_STUDIES)
    assert make_claim(summary).test is None
    names = [row.name for row in list_accuracies(summary)]
    assert names == [CLAIM, "test images of patients not in training", "best baseline: forest"]
    summary = summarize_recipe(subject(), make_results((10, 0, 0), 10), NO_STUDIES)
    assert make_claim(summary).test is not None
    assert len(list_accuracies(summary)) == 3
