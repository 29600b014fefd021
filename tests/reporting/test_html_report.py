"""The report page and the index page."""

import re
from dataclasses import replace
from typing import Any

import pytest

from brain_tumor.attribution import verdict
from brain_tumor.reporting.html_report import render_index, render_report
from brain_tumor.reporting.results import Results
from brain_tumor.reporting.sentences import PROTOCOLS
from brain_tumor.reporting.summary import NO_STUDIES, Subject, summarize_recipe
from example_report import explanation, make_chart, make_data
from example_results import make_results

PUBLISHED = {
    "accuracy": 0.96, "measured_on": "51 images", "protocol": "test", "title": "A system", "author": "someone",
    "url": "https://example.org/x", "departures": ["another resize"],
}  # fmt: skip
STUDIES = {
    "patients": {
        "accuracy": [0.7, 0.6, 0.75, 300], "baseline": {"name": "forest", "accuracy": [0.5, 0.4, 0.6, 300]},
    },
    "crossval": None, "protocol": None, "external": {"other": [0.61, 0.5, 0.7, 40]},
}  # fmt: skip


def summarize(
    name: str, results: Results, studies: Any = NO_STUDIES, generated: bool = False, published: Any = None
) -> dict[str, Any]:
    return summarize_recipe(Subject(name, "shapes", generated, "net", published), results, studies)


def render_small_index(*summaries: dict[str, Any], **changes: Any) -> str:
    info = {"title": "Shapes", "url": "", "license": "none", "generated": False, "audit": {"images": 1234}}
    return render_index(
        summaries, **{"datasets": {"shapes": info}, "delivered": ["first"], "claims": make_chart()} | changes
    )


def test_render_report_is_a_single_file_with_text_of_data_escaped() -> None:
    html = render_report(make_data())
    assert "Of 20 test images, 7 have a duplicate" in html
    assert "0.900" in html
    assert "0.800" in html
    assert "Not for clinical use" in html
    assert "Generated images" not in html
    assert "<b> 90" not in html, "names from data are text, not markup"
    assert not re.search(r'(src|xlink:href)="(?!data:|#)', html)
    assert "<link" not in html
    assert "@import" not in html


def test_render_report_order_is_sentences_examples_confusion_claims_mistakes_rest() -> None:
    html = render_report(make_data())
    marks = [
        'class="lead"',
        'id="examples"',
        'id="confusion-matrix"',
        'id="published"',
        'id="mistakes"',
        'id="metrics"',
    ]
    positions = [html.index(mark) for mark in marks]
    assert positions == sorted(positions)
    sentences = re.findall('class="lead">([^<]+)<', html)
    assert len(sentences) == 3
    assert sentences[0].startswith("net sorts single MRI slices into")
    assert sentences[1].startswith("It is right on 80.0 % (50.0–99.0 %) of 12 images")
    assert sentences[2] == verdict.summary_sentence(make_data().ranking)


def test_render_report_links_of_the_contents_resolve_and_ids_are_unique() -> None:
    html = render_report(make_data())
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    links = re.findall(r'href="#([^"]+)"', html)
    assert len(links) > 10
    assert set(links) <= set(ids)


def test_render_report_tables_have_captions_and_scopes() -> None:
    html = render_report(make_data())
    tables = re.findall("<table.*?</table>", html, re.DOTALL)
    assert len(tables) > 8
    assert all("<caption>" in table for table in tables)
    assert not re.search("<th(?! scope)[ >]", html)
    assert html.count('<div class="wide"') == len(tables), "each scrolls in a box of its own"


def test_render_report_charts_are_elements_with_title_and_description() -> None:
    html = render_report(make_data())
    assert html.count('<svg role="img"') == 3
    assert '<desc id="roc-text">Accuracy. ours (n = 20): 0.800 (0.700–0.900).</desc>' in html
    assert "#000000" not in html, "black is the color of the text, which differs in dark mode"


@pytest.mark.parametrize(("clean", "columns"), [(12, 3), (20, 1), (0, 1)])
def test_render_report_clean_column_only_if_some_images_are_clean(clean: int, columns: int) -> None:
    html = render_report(make_data(results=make_results((20 - clean, 0, 0), clean)))
    metrics = html[html.index('id="metrics"') : html.index('id="baselines"')]
    assert metrics.count('<th scope="col" class="num">') == columns
    assert ("all minus clean" in metrics) == (columns == 3)
    assert ("there is no clean figure" in metrics) == (clean == 0)


def test_render_report_generated_images_are_flagged_and_have_no_label_errors() -> None:
    info = {"title": "Phantom", "url": "", "license": "none", "generated": True}
    html = render_report(make_data(info=info, label_issues=[]))
    assert "Generated images" in html
    assert "possible label error" not in html
    assert "No possible label errors" in render_report(make_data(label_issues=[]))
    assert "1 test images with a possible label error" in render_report(make_data())


def test_render_report_mistakes_have_file_names_and_the_rest_is_folded() -> None:
    html = render_report(make_data())
    mistakes = html[html.index('id="mistakes"') : html.index('id="metrics"')]
    assert mistakes.count("<figure") == 20
    assert "folder/19.png" in mistakes
    assert "<summary>6 more</summary>" in mistakes
    assert "No test image is predicted wrongly" in render_report(make_data(mistakes=[]))


def test_render_report_confusion_matrix_has_counts_and_percentages() -> None:
    html = render_report(make_data())
    assert "<b>9</b><br><span>90.0 %</span>" in html
    assert "<b>2</b><br><span>20.0 %</span>" in html


def test_render_report_compares_baselines_and_marks_small_subgroups() -> None:
    html = render_report(make_data())
    assert "forest" in html
    assert "0.150" in html
    assert "plane: axial" in html
    assert "n &lt; 20: not interpretable" in html
    assert "1.500" in html
    assert "<strong>grad-cam</strong>" in html
    assert "<em>center</em>" in html
    assert "23.4 % of an image" in html


def test_render_report_shows_the_verdict_of_each_method() -> None:
    interval = {"n": "200", "low": "0.6", "high": "0.8"}
    rows = [
        explanation("grad-cam", "randomization_correlation", 0.7, **interval),
        explanation("grad-cam", "deletion", 0.7, baseline="shifted map", **interval),
    ]
    html = render_report(make_data(explanations=rows))
    assert "grad-cam passes 1 of 2 measured checks" in html
    assert '<span class="mark no">no</span>' in html
    assert "rank correlation with the maps of the randomized model: 0.700 (0.600–0.800), n = 200" in html
    assert "<strong>not trustworthy</strong>" in html
    assert "No test image has a mask or a box" in html


def test_report_data_ranks_methods_once_for_report_and_card(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    rank_methods = verdict.rank_methods

    def count(*args: object) -> object:
        calls.append(args)
        return rank_methods(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(verdict, "rank_methods", count)
    data = make_data()
    render_report(data)
    data.template_context()
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ("train", "add `train` to its `evaluate.extra_splits`"),
        ("selected on test", "see stages/protocol"),
        ("test", "0.9000<br>"),
    ],
)
def test_render_report_published_result_is_compared_with_ours(protocol: str, expected: str) -> None:
    published = PUBLISHED | {"protocol": protocol}
    html = render_report(make_data(params={**make_data().params, "published": published}))
    assert "51 images" in html
    assert "published by someone" in html
    assert '<a href="https://example.org/x">A system</a>' in html
    assert "<li>another resize</li>" in html
    assert expected in html
    assert "Published and by patient" in html
    assert "published by" not in render_report(make_data())


def test_render_report_by_patient_is_the_study_where_there_is_one() -> None:
    data = make_data()
    html = render_report(replace(data, summary=summarize("mine", data.results, STUDIES)))
    assert "70.0 % (60.0–75.0 %) of 300 images (cross-validation by patients)" in html
    assert "baseline without deep learning on 50.0 % (40.0–60.0 %)" in html
    assert "another data set: other" in html
    html = render_report(make_data(results=make_results((20, 0, 0), 0)))
    assert "How good it is on patients not in training is not known" in html
    assert "20 of which have a duplicate in training" in html


def test_render_index_has_all_recipes_and_links_to_the_delivered_ones() -> None:
    first = summarize("first", make_results((20, 0, 0), 0), STUDIES, published=PUBLISHED)
    html = render_small_index(first, summarize("second", make_results((0, 0, 0), 20, 0.8), generated=True))
    assert '<a href="first/report.html">first</a>' in html
    assert "second/report.html" not in html
    assert "(generated images)" in html
    assert "96.00 % as published (51 images), 70.0 % (60.0–75.0 %) on cross-validation by patients" in html
    assert "n = 20, 20 with a duplicate in training" in html
    assert "the same" in html, "all test images of the second are clean"
    assert "1,234" in html
    assert "../plots/shapes/audit.png" in html
    assert "audit.png" not in render_small_index(first, delivered=[])


def test_render_index_recipe_without_figure_by_patient_says_so() -> None:
    html = render_small_index(summarize("first", make_results((20, 0, 0), 0)))
    assert "no test image is known to be of a patient without images in training" in html
    assert "as published (" not in html


def test_protocols_of_published_results_say_why_ours_is_missing() -> None:
    assert [name for name, reason in PROTOCOLS.items() if not reason] == ["test"]
