"""The report page and the index page."""

from dataclasses import replace

import pytest

from brain_tumor.attribution import verdict
from brain_tumor.reporting.html_report import best_baseline, headline_text, render_index, render_report
from example_report import explanation, make_data
from example_results import make_results


def test_render_report_shows_all_and_clean_accuracy_in_a_single_file() -> None:
    html = render_report(make_data())
    assert "Of 20 test images, 7 have a duplicate" in html
    assert "0.900" in html
    assert "0.800" in html
    assert "Not for clinical use" in html
    assert "Generated images" not in html
    assert "<b>" not in html, "names from data are text, not markup"
    assert 'src="http' not in html
    assert "<link" not in html


def test_render_report_without_clean_images_has_no_clean_columns() -> None:
    html = render_report(replace(make_data(), results=make_results((0, 0, 20), 0)))
    assert "there is no clean figure" in html
    assert "all (n = 20)" in html
    for column in ("clean (n", "all minus clean", "accuracy, clean"):
        assert column not in html
        assert column in render_report(make_data())


def test_render_report_generated_images_are_flagged() -> None:
    info = {"title": "Phantom", "url": "", "license": "none", "generated": True}
    assert "Generated images" in render_report(make_data(info=info))


@pytest.mark.parametrize(
    ("leaks", "clean_count", "expected"),
    [
        (
            (0, 0, 0),
            20,
            "None of the 20 test images is of a patient in training or validation; accuracy 0.900.",
        ),
        (
            (5, 0, 0),
            15,
            "Of 20 test images, 5 have a duplicate in the training or validation images. Accuracy on all test images: "
            "0.900; on the 15 clean ones: 0.800.",
        ),
        (
            (4, 3, 2),
            11,
            "Of 20 test images, 7 have a duplicate in the training or validation images (3 of them mirrored or "
            "rotated) and 2 more have an adjacent slice or another slice of the same patient there. Accuracy on all "
            "test images: 0.900; on the 11 clean ones: 0.800.",
        ),
        (
            (0, 0, 20),
            0,
            "Of 20 test images, 20 have an adjacent slice or another slice of the same patient there. "
            "Accuracy on all test images: 0.900. No image is known to be of a patient without images in training: "
            "there is no clean figure.",
        ),
        (
            (12, 0, 0, 8),
            0,
            "Of 20 test images, 12 have a duplicate in the training or validation images and the patients of 8 others "
            "are not known. Accuracy on all test images: 0.900. No image is known to be of a patient without images "
            "in training: there is no clean figure.",
        ),
        (
            (0, 0, 0, 20),
            0,
            "No related image of the 20 test images was found in training or validation, but their patients are not "
            "known: there is no clean figure. Accuracy 0.900.",
        ),
    ],
)
def test_headline_text_counts_leaking_images(leaks: tuple[int, ...], clean_count: int, expected: str) -> None:
    assert headline_text(make_results(leaks, clean_count)) == expected


def test_render_report_compares_baselines_and_marks_small_subgroups() -> None:
    html = render_report(make_data())
    assert "forest" in html
    assert "0.150" in html
    assert "plane: axial" in html
    assert "n &lt; 20: not interpretable" in html
    assert "1 test images with a possible label error" in html
    assert "1.500" in html
    assert "<strong>grad-cam</strong>" in html
    assert "<em>center</em>" in html
    assert "23.4 % of an image" in html


def test_render_report_shows_the_verdict_of_each_method() -> None:
    interval = {"n": "30", "low": "0.6", "high": "0.8"}
    rows = [
        explanation("grad-cam", "randomization_correlation", 0.7, **interval),
        explanation("grad-cam", "road", 0.7, baseline="random order", **interval),
    ]
    html = render_report(make_data(explanations=rows))
    assert "grad-cam passes 1 of 2 measured checks" in html
    assert '<span class="mark no">no</span>' in html
    assert "rank correlation with the maps of the randomized model: 0.700 (0.600–0.800), n = 30" in html
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
        ("test", "0.900 (0.500–0.990), n = 20"),
    ],
)
def test_render_report_published_result_is_compared_with_ours(protocol: str, expected: str) -> None:
    published = {"accuracy": 0.96, "measured_on": "51 images", "protocol": protocol, "title": "A system"}
    published |= {"author": "someone", "url": "https://example.org/x", "departures": ["another resize"]}
    data = make_data()
    html = render_report(replace(data, params={**data.params, "published": published}))
    assert "51 images" in html
    assert '<a href="https://example.org/x">A system</a> (someone)' in html
    assert "<li>another resize</li>" in html
    assert expected in html
    assert ("is not a test" in html) == (protocol != "test")


def test_render_index_marks_generated_images_and_missing_metrics() -> None:
    summary = {
        "recipe": "r", "dataset": "d", "generated": True, "architecture": "net", "baseline": "forest",
        "published": {"n": 20, "accuracy": [0.9, 0.5, 1.0]}, "clean": {"n": 0},
    }  # fmt: skip
    html = render_index([summary])
    assert "(generated images)" in html
    assert "0.500 – 1.000" in html
    assert html.count("none") == 2, "accuracy and macro F1 without clean images"


def test_best_baseline_is_the_most_accurate_one() -> None:
    assert best_baseline(make_results((0, 0, 0), 20)) == "forest: 0.650 (0.500–0.990)"
