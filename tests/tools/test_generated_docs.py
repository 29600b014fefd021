"""The generated parts of the documentation are up to date, and their tables are right."""

import re
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import update_readme
from brain_tumor.attribution.verdict import EstimateKey, rank_methods
from brain_tumor.core.subsets import CLEAN
from brain_tumor.metrics.bootstrap import Estimate
from brain_tumor.reporting.results import Results
from brain_tumor.reporting.sentences import best_baseline
from documentation import BLOCK, PAGES
from example_results import make_results
from params_reference import render_reference
from project import ROOT
from readme_picture import draw_picture
from readme_tables import (
    RecipeResults,
    RecipeVerdicts,
    format_claims_table,
    format_main_table,
    format_results_table,
    format_verdicts_table,
    replace_section,
)

MAKE = "run `make readme`"
CROSSVAL = Estimate(0.7, 0.6, 0.8, 253)
PUBLISHED_RESULT = {
    "accuracy": 0.9985, "measured_on": "its test images", "protocol": "selected on test", "title": "A system",
    "author": "someone", "url": "https://example.org/x", "departures": ["one", "two"],
}  # fmt: skip


def make_recipe(results: Results | None, crossval: Estimate | None = None, **changes: Any) -> RecipeResults:
    options: dict[str, Any] = {"primary": "test", "by_patient": None, "external": {}} | changes
    return RecipeResults("r", "d", True, "net", PUBLISHED_RESULT, results, None, crossval, [155, 98], **options)


def split_cells(table: str) -> list[list[str]]:
    """Return the cells of the rows below the header."""
    return [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]


def test_main_table_recipe_with_leaks_has_counts_and_best_baseline() -> None:
    recipes = [make_recipe(None), make_recipe(make_results((15, 5, 0), 0))]
    (cells,) = split_cells(format_main_table(recipes))
    assert cells[:3] == ["`r` **(generated images)**", "d", "net"]
    accuracy = "0.900 (0.500–0.990), n = 20 (20)"
    assert cells[3:5] == [f"test images: {accuracy}", "forest: 0.650 (0.500–0.990)"]
    assert cells[5:] == [accuracy, "20 (5 only mirrored or rotated)", "–"]


def test_main_table_primary_figure_is_that_of_the_recipe() -> None:
    results = make_results((0, 0, 0), 20)
    by_patient = Results(
        pd.DataFrame(
            [
                {
                    "model": model,
                    "subset": "all",
                    "metric": "accuracy",
                    "n": 70,
                    "value": value,
                    "low": 0.6,
                    "high": 0.9,
                }
                for model, value in (("model", 0.8), ("svm", 0.7))
            ]
        )
    )
    external = {"other": Estimate(0.5, 0.4, 0.6, 136)}
    for primary, figure, baseline in (
        ("patients", "by patient or group: 0.800 (0.600–0.900), n = 70", "svm: 0.700 (0.600–0.900)"),
        ("clean", "patients not in training: 0.800 (0.500–0.990), n = 20", "forest: 0.650 (0.500–0.990)"),
        ("crossval", "cross-validation by groups: 0.700 (0.600–0.800), n = 253 (155 + 98)", "not measured"),
    ):
        recipe = make_recipe(results, CROSSVAL, primary=primary, by_patient=by_patient, external=external)
        (cells,) = split_cells(format_main_table([recipe]))
        assert cells[3:5] == [figure, baseline]
        assert cells[-1] == "other: 0.500 (0.400–0.600), n = 136"
    (cells,) = split_cells(format_main_table([make_recipe(results, primary="patients")]))
    assert cells[3:5] == ["by patient or group: not measured", "not measured"]


def test_results_table_cross_validated_recipe_has_its_accuracy() -> None:
    (cells,) = split_cells(format_results_table([make_recipe(make_results((0, 0, 0), 20), CROSSVAL)]))
    assert cells[4] == "0.800 (0.500–0.990), n = 20"
    assert cells[8:] == ["0.700 (0.600–0.800), n = 253 (155 + 98)", "–", "–", "–", "–"]


def test_claims_table_recipe_not_run_is_left_out() -> None:
    recipes = [make_recipe(None), make_recipe(make_results((0, 0, 0), 20), CROSSVAL)]
    (cells,) = split_cells(format_claims_table(recipes))
    name = "`r` **(generated images)**: [A system](https://example.org/x), someone"
    assert cells[:4] == [name, "d", "0.9985", "its test images"]
    assert "stages/protocol" in cells[4]
    assert cells[5:] == ["0.700 (0.600–0.800), n = 253", "one; two"]


def test_claims_table_figure_by_patient_has_the_best_baseline_beside_it() -> None:
    results = make_results((15, 5, 0), 20)
    (cells,) = split_cells(format_claims_table([make_recipe(results)]))
    accuracy, baseline = cells[5].split("; best baseline, ")
    assert accuracy == f"{results.get('accuracy', CLEAN)}, n = 20"
    assert baseline == best_baseline(results, CLEAN) != "none"


def test_claims_table_without_unknown_patients_has_other_data_sets() -> None:
    recipe = make_recipe(make_results((15, 5, 0), 0), external={"other": CROSSVAL})
    (cells,) = split_cells(format_claims_table([recipe]))
    assert cells[5].endswith("of known patients; other data sets: other: 0.700 (0.600–0.800), n = 253")


def test_verdicts_table_has_a_row_for_each_method() -> None:
    estimates = {EstimateKey("a", "deletion", "center"): Estimate(0.2, 0.1, 0.3, 200)}
    permuted = {"learned": True, "a": {"unchanged": True, "rank_correlation": 0.91}}
    recipe = RecipeVerdicts("r", True, rank_methods(estimates, ["a", "b"]), permuted)
    first, second = split_cells(format_verdicts_table([recipe]))
    none = "not measured"
    name = "`r` **(generated images)**"
    assert first == [name, "a", "yes", none, none, none, none, "no (0.91)", "undecided"]
    assert second == [name, "b", *[none] * 5, "–", none]


def test_replace_section_without_markers_is_an_error() -> None:
    with pytest.raises(ValueError, match="generated by"):
        replace_section("text", "results", "table")


@pytest.mark.parametrize("page", update_readme.SECTIONS)
def test_generated_sections_are_up_to_date(page: str) -> None:
    assert (ROOT / page).read_text(encoding="utf-8") == update_readme.update_page(ROOT, page), MAKE


def test_summaries_are_up_to_date() -> None:
    assert (ROOT / update_readme.SUMMARIES).read_text(encoding="utf-8") == update_readme.format_summaries(ROOT), MAKE


def test_params_reference_is_up_to_date() -> None:
    assert (ROOT / update_readme.PARAMS_PAGE).read_text(encoding="utf-8") == render_reference(), MAKE


def test_params_reference_explains_every_key() -> None:
    rows = [line for line in render_reference().splitlines() if line.startswith("| `")]
    assert [row for row in rows if row.endswith("|  |")] == []


def test_picture_is_up_to_date() -> None:
    buffer = BytesIO()
    draw_picture(buffer, update_readme.read_recipes(ROOT))
    expected = np.asarray(Image.open(buffer).convert("L"), np.float64)
    picture = np.asarray(Image.open(ROOT / update_readme.PICTURE).convert("L"), np.float64)
    assert picture.shape == expected.shape, MAKE
    # Letters may differ by a gray level from one machine to another; a dot at another position is 20 pixels.
    assert (np.abs(picture - expected) > 64).sum() < 20, MAKE


@pytest.mark.parametrize("page", PAGES)
def test_doc_links_resolve(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", (ROOT / page).read_text(encoding="utf-8"))):
        link = urlsplit(target)
        if link.scheme:
            continue
        file = (ROOT / page).parent / link.path if link.path else ROOT / page
        assert file.exists(), target
        if link.fragment:
            assert link.fragment in read_anchors(file.read_text(encoding="utf-8")), target


def read_anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
