"""HTML of images, predictions and messages."""

import numpy as np
import pytest

from brain_tumor.app.html import NOT_CLINICAL, disclaimer_html, image_html, message_html, prediction_html, verdict_html
from brain_tumor.inference.predictor import GENERATED, Prediction

IMAGE, HEAT = np.zeros((4, 4), np.uint8), np.ones((4, 4), np.float32)


def test_image_html_caption_is_escaped_and_heat_map_has_a_scale() -> None:
    html = image_html(IMAGE, HEAT, 0.5, "<script>alert(1)</script>")
    assert "<script>" not in html
    assert "high relevance" in html
    assert "high relevance" not in image_html(IMAGE, None, 0.5, "x")


def test_image_html_opacity_0_is_the_image_alone() -> None:
    assert image_html(IMAGE, HEAT, 0, "x").split('"')[3] == image_html(IMAGE, None, 0.5, "x").split('"')[3]


PROBABILITIES = {"<b>x": 0.7, "y": 0.3}


def test_prediction_html_labels_and_warnings_are_escaped() -> None:
    html = prediction_html(Prediction("f", "<b>x", PROBABILITIES, ("<b>x",), True, (), ("<i>odd",)))
    assert "<b>x" not in html
    assert "<i>odd" not in html
    assert "probability 70%" in html


def test_prediction_html_warnings_are_above_the_answer() -> None:
    warnings = ("the DICOM header states the modality CT, not MR", "low certainty: x or y")
    html = prediction_html(Prediction("f", "x", {"x": 0.6, "y": 0.4}, ("x", "y"), True, (), warnings))
    assert html.index("modality CT") < html.index("Low certainty: x or y") < html.index("probability 60%")
    assert 'class="answer unsure"' in html, "the class is not written large"
    assert 'class="answer"' in prediction_html(Prediction("f", "x", {"x": 0.9, "y": 0.1}, (), True))


def test_prediction_html_rejected_image_has_no_answer() -> None:
    reasons = ("this does not look like a head slice: <too> ragged", "this is unlike the images")
    html = prediction_html(Prediction("f", "glioma", {"glioma": 0.9}, ("glioma",), False, reasons, ("from CT",)))
    assert "No answer: this does not look like a head slice<" in html
    assert "&lt;too&gt; ragged." in html
    assert "This is unlike the images." in html
    assert "From CT." in html
    assert NOT_CLINICAL in html
    assert "glioma" not in html
    assert "%" not in html


@pytest.mark.parametrize(
    ("verdict", "failed", "kind"),
    [
        ("trustworthy", (), "note"),
        ("trustworthy; other checks undecided", (), "note"),
        ("not trustworthy", ("passes randomization test",), "warn"),
        ("undecided", (), "warn"),
        ("not measured", (), "warn"),
    ],
)
def test_verdict_html_says_whether_the_map_is_evidence(verdict: str, failed: tuple[str, ...], kind: str) -> None:
    html = verdict_html("Grad-<CAM>", verdict, failed)
    assert f"Grad-&lt;CAM&gt;, for this model: {verdict}." in html
    assert html.startswith(f'<p class="{kind}">')
    assert ("evidence" in html) == (kind == "warn")
    assert all(criterion in html for criterion in failed)


def test_message_html_error_is_escaped() -> None:
    assert "<img" not in message_html("cannot be read: <img src=https://example.org/x>")
    assert "Upload an image" in message_html(None)


def test_disclaimer_html_generated_images_are_flagged() -> None:
    assert NOT_CLINICAL in disclaimer_html(False)
    assert GENERATED in disclaimer_html(True)
    assert GENERATED not in disclaimer_html(False)
