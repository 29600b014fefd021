"""The pages for people, and the README's table."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from huggingface_hub import ModelCard
from PIL import Image

import readme
from brain_tumor.leakage import LEAKS
from brain_tumor.model_card import model_card
from brain_tumor.readme_picture import picture
from brain_tumor.readme_tables import claims_table, results_table, trust_table
from brain_tumor.report import Known, index_page, recipe_page, sentence
from brain_tumor.results import Figure, Results
from brain_tumor.trust import Span, ranking

ROOT = Path(__file__).parents[1]


def results(leaks: tuple[int, int, int, int], every: float = 0.9, clean: float = 0.8) -> Results:
    """What `evaluate` found on 20 test images: copied, mirrored, related and clean ones."""
    names = [*(f"leak: {kind}" for kind in LEAKS), "clean"]
    lines = [("model", "published", "", "accuracy", 20, every, 0.5, 0.99)]
    lines += [("model", name, "", "accuracy", n, clean, 0.5, 0.99) for name, n in zip(names, leaks, strict=True) if n]
    lines += [("model", "published", "<b>", "recall", 20, 0.7, 0.5, 0.99), ("model", "clean", "", "ece", 20, 0.1, 0, 1)]
    lines += [("model", "plane: axial", "", "accuracy", 7, 0.6, 0.5, 0.99)]
    for model, value in (("forest", 0.65), ("svm", 0.55), ("model − forest", 0.15)):
        lines += [(model, subset, "", "accuracy", 20, value, 0.5, 0.99) for subset in ("published", "clean")]
    columns = ["model", "subset", "class", "figure", "n", "value", "low", "high"]
    return Results(pd.DataFrame(lines, columns=columns))


PICTURES = (
    "audit", "leaks", "enhance", "curves", "confusion", "roc", "pr", "reliability", "coverage", "robustness", "errors",
    "grad-cam", "mean", "removal", "randomized",
)  # fmt: skip


BLOCK = {"evaluate": {"rounds": 100}, "train": {"select": "loss"}, "explain": {"methods": ["grad-cam"]}}


def words(**changes: Any) -> dict[str, Any]:
    part = {"images": 9, "groups": 8, "classes": {"<b>": 9}}
    found: dict[str, Any] = {
        "recipe": "mine",
        "block": BLOCK,
        "about": {"title": "Shapes", "url": "", "license": "none", "generated": False},
        "card": {
            "architecture": "net",
            "classes": ["<b>"],
            "pretrained": "none",
            "data": "f" * 8,
            "calibration": {"temperature": 1.5, "operating_point": None},
            "versions": {"torch": "2"},
        },
        "metrics": {
            "audit": {
                "images": 27, "distinct_files": 26, "distinct_images": 25, "groups": 25, "patients": 0,
                "unreadable": 0, "label_conflicts": 0, "doubtful": 0,
            },
            "split": {"train": part, "validation": part, "test": part},
            "train": {"images": 9, "parameters": 10, "selected_epoch": 1, "validation_accuracy": 0.5},
        },
        "results": results((6, 1, 1, 12)),
        "suspects": [{"path": "a.png", "label": "<b>", "p_label": "0.1", "suggested": "c", "p_suggested": "0.9"}],
        "maps": [
            {"map": name, "class": "", "figure": figure, "n": "9", "value": value, "low": "0.1", "high": "0.9"}
            for name, value in (("grad-cam", "0.234"), ("center", "0.345"))
            for figure in ("pointing", "relevance_inside", "iou_best", "iou_half", "area")
        ],
        "pictures": dict.fromkeys(PICTURES, b"png"),
        "sheets": ["grad-cam"],
        "commit": "abc",
    }  # fmt: skip
    return found | changes


def page(**changes: Any) -> str:
    given = words(**changes)
    return recipe_page(known(**changes), given["suspects"], given["pictures"], given["sheets"], given["commit"])


def known(**changes: Any) -> Known:
    given = words(**changes)
    return Known(**{name: given[name] for name in Known._fields})


def test_page_says_what_the_test_images_are_worth_and_stands_alone() -> None:
    html = page()
    assert "Of 20 test images, 7 have a copy" in html
    assert "0.900" in html
    assert "0.800" in html
    assert "Not for clinical use" in html
    assert "Generated images" not in html
    assert "<b>" not in html, "names from data are text, not markup"
    assert 'src="http' not in html
    assert "<link" not in html


def test_generated_data_are_flagged() -> None:
    about = {"title": "Phantom", "url": "", "license": "none", "generated": True}
    assert "Generated images" in page(about=about)


@pytest.mark.parametrize(
    ("leaks", "expected"),
    [
        ((0, 0, 0, 20), "None of 20 test images has a known copy in training; accuracy 0.900."),
        (
            (5, 0, 0, 15),
            "Of 20 test images, 5 have a copy among the images used for training or selection; accuracy on all: 0.900; "
            "on the other 15: 0.800.",
        ),
        (
            (4, 3, 2, 11),
            "Of 20 test images, 7 have a copy among the images used for training or selection (3 of them mirrored or "
            "rotated) and 2 more show a neighboring slice or another one of the same patient; accuracy on all: 0.900; "
            "on the other 11: 0.800.",
        ),
        (
            (0, 0, 20, 0),
            "Of 20 test images, 20 show a neighboring slice or another one of the same patient; "
            "accuracy on all: 0.900; no other is left.",
        ),
    ],
)
def test_sentence(leaks: tuple[int, int, int, int], expected: str) -> None:
    assert sentence(results(leaks)) == expected


def test_the_page_sets_the_model_against_its_baselines_and_marks_small_subgroups() -> None:
    html = page()
    assert "forest" in html
    assert "0.150" in html
    assert "fewer than 20: says nothing" in html
    assert "1 test images whose label may be wrong" in html
    assert "1.500" in html
    assert "<strong>grad-cam</strong>" in html
    assert "<em>center</em>" in html
    assert "23.4 % of an image" in html


def test_the_page_gives_a_verdict_on_each_method() -> None:
    line = {"map": "grad-cam", "class": "", "n": "30", "value": "0.7", "low": "0.6", "high": "0.8"}
    html = page(maps=[line | {"figure": "untrained"}, line | {"figure": "road_over_random order"}])
    assert "grad-cam passes 1 of the 2 checks that could be made" in html
    assert '<span class="mark no">no</span>' in html
    assert "rank correlation with an untrained model&#39;s maps: 0.700 (0.600 – 0.800, n = 30)" in html
    assert "<strong>no trust</strong>" in html
    assert "No test image has a mask or a box" in html


def test_the_model_card_is_valid_for_the_hub_and_says_what_matters() -> None:
    of_mine = known(results=results((6, 1, 1, 12)))
    card_of_mine = {**of_mine.card, "classes": ["a", "b"], "pretrained": "hub timm/net.in1k@abc"}
    part = {"images": 9, "groups": 8, "classes": {"a": 4, "b": 5}}
    metrics = {**of_mine.metrics, "split": {"train": part, "validation": part, "test": part}}
    of_mine = of_mine._replace(card=card_of_mine, metrics=metrics)
    text = model_card(of_mine)
    card: Any = ModelCard(text)
    assert (card.data.license, card.data.library_name, card.data.base_model) == ("apache-2.0", "timm", "timm/net.in1k")
    found = {(each.dataset_name, each.metric_type): each.metric_value for each in card.data.eval_results or []}
    assert found["Shapes, published test images", "accuracy"] == 0.9
    assert found["Shapes, clean test images", "accuracy"] == 0.8
    assert "generated-data" not in (card.data.tags or [])
    for expected in (
        "Not for clinical use",
        "| accuracy | 0.900 (0.500–0.990) | 0.800",
        "| train | 9 | 8 | 4 | 5 |",
        "forest",
    ):
        assert expected in text
    assert "\n\n\n\n" not in text
    assert "generated images" in model_card(of_mine._replace(about={**of_mine.about, "generated": True}))


def test_the_table_of_verdicts_has_a_line_a_method() -> None:
    known = {("a", "road_over_center"): Span(0.2, 0.1, 0.3, 30)}
    permuted = {"learned": True, "a": {"unchanged": True, "rank_correlation": 0.91}}
    lines = trust_table([("r", True, ranking(known, ["a", "b"]), permuted)]).splitlines()
    first, second = (line.strip("| ").split(" | ") for line in lines[2:])
    none = "not measured"
    name = "`r` **(generated images)**"
    assert first == [name, "a", "yes", none, none, none, none, "no (0.91)", "undecided"]
    assert second == [name, "b", *[none] * 5, "–", none]


def test_index_and_table_mark_generated_data_and_missing_figures() -> None:
    row = {"recipe": "r", "name": "r", "dataset": "d", "generated": True, "architecture": "net"}
    shown = {"published": {"n": 20, "accuracy": [0.9, 0.5, 1.0]}, "clean": {"n": 0}, "baseline": "forest"}
    assert "(generated images)" in index_page([row | shown])
    cells = (
        results_table([row | {"results": results((15, 5, 0, 0)), "crossval": Figure(0.7, 0.6, 0.8, 253)}])
        .splitlines()[-1]
        .strip("| ")
        .split(" | ")
    )
    assert cells[:3] == ["`r`", "d **(generated images)**", "net"]
    assert cells[3:6] == ["0.900 (0.500–0.990), n = 20", "20 (5 mirrored or rotated)", "none"]
    assert cells[7:] == ["forest: 0.650 (0.500–0.990)", "0.700 (0.600–0.800), n = 253"]


def test_claims_stand_beside_what_is_found_or_what_is_missing() -> None:
    published = {"accuracy": 0.9985, "measured_on": "its test images", "protocol": "selected on test"}
    row = {"name": "r", "dataset": "d", "published": published, "results": None, "same": None, "crossval": None}
    first, second = (
        claims_table([row | change]).splitlines()[-1].strip("| ").split(" | ")
        for change in ({}, {"results": results((0, 0, 0, 20)), "crossval": Figure(0.7, 0.6, 0.8, 253)})
    )
    assert first[:4] == ["`r`", "d", "0.9985", "its test images"]
    assert first[4] == first[5] == "not run yet: `make repro RECIPE=r`"
    assert second[4:] == [
        "not run: see stages/protocol", "0.800 (0.500–0.990), n = 20", "0.700 (0.600–0.800), n = 253",
    ]  # fmt: skip


def test_resamples_that_all_agree_give_way_to_the_score_interval() -> None:
    line = ("model", "published", "", "accuracy", 26, 1.0, 1.0, 1.0, 0.871, 1.0)
    columns = ["model", "subset", "class", "figure", "n", "value", "low", "high", "wilson_low", "wilson_high"]
    assert str(Results(pd.DataFrame([line], columns=columns)).get("accuracy")) == "1.000 (0.871–1.000)"


def test_the_report_sets_a_claim_beside_what_is_found() -> None:
    published = {"accuracy": 0.96, "measured_on": "51 images", "protocol": "train"}
    html = page(block=BLOCK | {"published": published})
    assert "51 images" in html
    assert "add `train` to its `evaluate.also`" in html
    assert "is no test" in html


def test_the_readme_shows_what_is_in_metrics() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, made in readme.SECTIONS.items():
        assert readme.section(text, name)[1] == made(ROOT), "run `make readme`"
    shown = readme.section(text, "results")[1]
    for path in (ROOT / "metrics").glob("*/test.json"):
        accuracy = json.loads(path.read_text())["published"]["accuracy"]
        assert f"{accuracy:.3f}" in shown


def test_the_readme_has_the_picture_of_what_is_in_metrics() -> None:
    drawn = BytesIO()
    picture(drawn, readme.recipes(ROOT))
    there = np.asarray(Image.open(ROOT / readme.PICTURE).convert("L"), np.float64)
    made = np.asarray(Image.open(drawn).convert("L"), np.float64)
    assert made.shape == there.shape, "run `make readme`"
    # Letters may differ by a gray level from one machine to another; a dot elsewhere is 20 pixels.
    assert (np.abs(made - there) > 64).sum() < 20, "run `make readme`"
    assert f"]({readme.PICTURE})" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_text_of_a_data_set_has_no_effect_in_the_model_card() -> None:
    about = {"title": "a\n\n<script>|x|", "url": "", "license": "![x](https://example.org/p.png)", "generated": False}
    mine = known(results=results((6, 1, 1, 12)))
    part = {"images": 9, "groups": 8, "classes": {"a|b": 9}}
    metrics = {**mine.metrics, "split": {"train": part, "validation": part, "test": part}}
    text = model_card(mine._replace(about=about, metrics=metrics, card={**mine.card, "classes": ["a|b"]}))
    body = text.split("\n---\n", 1)[1]
    assert r"a \<script\>\|x\|" in body
    assert r"\!\[x\](https" in body
    table = next(line for line in body.splitlines() if line.startswith("| part"))
    assert table == r"| part | images | groups | a\|b |"
