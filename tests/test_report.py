"""The pages for people, and the README's table."""

import json
from pathlib import Path
from typing import Any

import pytest

import readme
from brain_tumor.report import index_page, recipe_page, results_table, sentence

ROOT = Path(__file__).parents[1]


def figures(n: int, accuracy: float | None) -> dict[str, Any]:
    if not n:
        return {"n": 0}
    names = ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "auroc")
    each = {"precision": accuracy, "recall": accuracy, "f1": accuracy, "auroc": None, "support": n}
    interval = {name: [0.5, 0.99] for name in names}
    return {"n": n, **dict.fromkeys(names, accuracy), "interval": interval, "classes": {"<b>": each}}


def by_leak(copied: int, mirrored: int = 0, related: int = 0, clean: int = 0) -> dict[str, Any]:
    counts = {"copy": copied, "mirrored": mirrored, "related": related, "none": clean}
    return {kind: {"n": n, "accuracy": 0.9, "interval": [0.8, 1.0]} if n else {"n": 0} for kind, n in counts.items()}


def page(**changes: Any) -> str:
    part = {"images": 9, "groups": 8, "classes": {"<b>": 9}}
    words: dict[str, Any] = {
        "recipe": "mine",
        "block": {"evaluate": {"rounds": 100}, "train": {"select": "loss"}},
        "about": {"title": "Shapes", "url": "", "license": "none", "generated": False},
        "card": {
            "architecture": "net",
            "classes": ["<b>"],
            "pretrained": "none",
            "data": "f" * 8,
            "versions": {"torch": "2"},
        },
        "metrics": {
            "audit": {
                "images": 27, "distinct_files": 26, "distinct_images": 25, "groups": 25, "patients": 0,
                "unreadable": 0, "label_conflicts": 0, "doubtful": 0,
            },
            "split": {"train": part, "validation": part, "test": part},
            "train": {"images": 9, "parameters": 10, "selected_epoch": 1, "validation_accuracy": 0.5},
            "test": {"published": figures(20, 0.9), "clean": figures(12, 0.8), "by_leak": by_leak(6, 1, 1, 12)},
        },
        "pictures": dict.fromkeys(("audit", "leaks", "enhance", "curves", "confusion", "grad-cam"), b"png"),
        "sheets": ["grad-cam"],
        "commit": "abc",
    }  # fmt: skip
    return recipe_page(**(words | changes))


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
    every, clean = figures(20, 0.9), figures(leaks[-1], 0.8)
    assert sentence({"published": every, "clean": clean, "by_leak": by_leak(*leaks)}) == expected


def test_index_and_table_mark_generated_data_and_missing_figures() -> None:
    row = {"recipe": "r", "dataset": "d", "generated": True, "architecture": "net"}
    rows = [row | {"published": figures(20, 0.9), "clean": figures(0, None), "by_leak": by_leak(15, 5)}]
    assert "(generated images)" in index_page(rows)
    cells = results_table(rows).splitlines()[-1].strip("| ").split(" | ")
    assert cells[:3] == ["`r`", "d **(generated images)**", "net"]
    assert cells[3:] == ["0.900 (0.500–0.990), n = 20", "20 (5 mirrored or rotated)", "none", "none"]


def test_the_readme_shows_what_is_in_metrics() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, made in readme.SECTIONS.items():
        assert readme.section(text, name)[1] == made(ROOT), "run `make readme`"
    shown = readme.section(text, "results")[1]
    for path in (ROOT / "metrics").glob("*/test.json"):
        accuracy = json.loads(path.read_text())["published"]["accuracy"]
        assert f"{accuracy:.3f}" in shown
