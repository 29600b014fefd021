"""HTML of images, predictions and messages."""

import numpy as np

from brain_tumor.app.html import NOT_CLINICAL, disclaimer_html, image_html, message_html, prediction_html
from brain_tumor.inference.predictor import GENERATED, Prediction

IMAGE, HEAT = np.zeros((4, 4), np.uint8), np.ones((4, 4), np.float32)


def test_image_html_caption_is_escaped_and_heat_map_has_a_scale() -> None:
    html = image_html(IMAGE, HEAT, 0.5, "<script>alert(1)</script>")
    assert "<script>" not in html
    assert "high relevance" in html
    assert "high relevance" not in image_html(IMAGE, None, 0.5, "x")


def test_image_html_opacity_0_is_the_image_alone() -> None:
    assert image_html(IMAGE, HEAT, 0, "x").split('"')[3] == image_html(IMAGE, None, 0.5, "x").split('"')[3]


def test_prediction_html_labels_and_warnings_are_escaped() -> None:
    html = prediction_html(Prediction("f", "<b>x", {"<b>x": 0.7}, ("<b>x",), True, (), ("<i>odd",)))
    assert "<b>x" not in html
    assert "<i>odd" not in html
    assert "probability 70%" in html


def test_message_html_error_is_escaped() -> None:
    assert "<img" not in message_html("cannot be read: <img src=https://example.org/x>")
    assert "Upload an image" in message_html(None)


def test_disclaimer_html_generated_images_are_flagged() -> None:
    assert NOT_CLINICAL in disclaimer_html(False)
    assert GENERATED in disclaimer_html(True)
    assert GENERATED not in disclaimer_html(False)
