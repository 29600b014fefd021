"""Model cards."""

from dataclasses import replace
from typing import Any

import yaml
from huggingface_hub import ModelCard

from brain_tumor.reporting.html_report import ReportData
from brain_tumor.reporting.model_card import render_header, render_model_card
from example_report import make_data


def with_classes(data: ReportData, *classes: str) -> ReportData:
    """Replace the classes of a recipe, and with them the counts of its split."""
    part = {"images": 9, "groups": 8, "classes": {label: 4 + k for k, label in enumerate(classes)}}
    split = dict.fromkeys(("train", "validation", "conformal", "test"), part)
    config = {**data.config, "classes": list(classes), "pretrained": "hub timm/net.in1k@abc"}
    return replace(data, config=config, metrics={**data.metrics, "split": split})


def test_render_model_card_is_valid_for_the_hub() -> None:
    data = with_classes(make_data(), "a", "b")
    text = render_model_card(data)
    card: Any = ModelCard(text)
    assert (card.data.license, card.data.library_name, card.data.base_model) == ("apache-2.0", "timm", "timm/net.in1k")
    values = {(one.dataset_name, one.metric_type): one.metric_value for one in card.data.eval_results or []}
    assert values["Shapes, published test images", "accuracy"] == 0.9
    assert values["Shapes, clean test images", "accuracy"] == 0.8
    intervals = {(one.dataset_config, one.metric_type): one.metric_args for one in card.data.eval_results or []}
    assert intervals["published", "accuracy"] == {"images": 20, "interval_95": [0.5, 0.99]}
    assert card.data.datasets == ["shapes"]
    assert "generated-data" not in (card.data.tags or [])
    for expected in (
        "Not for clinical use",
        "| accuracy | 0.900 (0.500–0.990) | 0.800",
        "| train | 9 | 8 | 4 | 5 |",
        "| plane: axial | 7 | 0.600 (0.500–0.990) |",
        "forest",
    ):
        assert expected in text
    assert "\n\n\n\n" not in text
    assert "generated images" in render_model_card(replace(data, info={**data.info, "generated": True}))


def test_render_header_has_the_data_of_the_hubs_own_writer() -> None:
    data = with_classes(
        make_data(info={"title": "Größe: “x” #1", "url": "", "license": "", "generated": True}), "a", "b"
    )
    header = render_header(data)
    assert yaml.safe_load(header) == yaml.safe_load(ModelCard(f"---\n{header}\n---\n").data.to_yaml())
    assert "Größe: “x” #1, clean test images" in header
    assert "generated-data" in header


def test_render_model_card_text_of_a_data_set_is_escaped() -> None:
    info = {"title": "a\n\n<script>|x|", "url": "", "license": "![x](https://example.org/p.png)", "generated": False}
    text = render_model_card(with_classes(make_data(info=info), "a|b"))
    body = text.split("\n---\n", 1)[1]
    assert r"a \<script\>\|x\|" in body
    assert r"\!\[x\](https" in body
    table = next(line for line in body.splitlines() if line.startswith("| part"))
    assert table == r"| part | images | groups | a\|b |"
