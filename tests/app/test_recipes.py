"""Models, test images, model cards and verdicts of the app."""

import csv
from pathlib import Path

import pytest

from app_folder import write_app_folder
from brain_tumor.app import recipes
from brain_tumor.attribution.verdict import rank_methods, read_estimates
from brain_tumor.core.errors import UserError


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_app_folder(tmp_path_factory.mktemp("app"))


def test_list_recipes_has_examples_and_model_card_of_folder(root: Path, tmp_path: Path) -> None:
    assert recipes.list_recipes(root) == ["quickstart", "real"]
    assert recipes.list_examples("quickstart", root) == {
        "a, test image 1": 0, "a, test image 2": 1, "b, test image 1": 2, "b, test image 2": 3,
    }  # fmt: skip
    assert recipes.list_examples("real", root) == {}
    assert recipes.read_model_card("quickstart", root).strip() == "# quickstart\n\nThe card."
    assert "dvc repro stages/dvc.yaml:report@real" in recipes.read_model_card("real", root)
    with pytest.raises(UserError, match="no trained model"):
        recipes.list_recipes(tmp_path)
    with pytest.raises(UserError, match="has no test image 'x'"):
        recipes.read_example("quickstart", "x", root)


def test_load_model_second_call_returns_the_same_model_and_few_are_kept(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = recipes.load_model("real", root)
    assert recipes.load_model("real", root) is first
    monkeypatch.setattr(recipes, "MAX_MODELS", 1)
    recipes.load_model("quickstart", root)
    assert recipes.load_model("real", root) is not first


def write_explanations(root: Path, randomization: float) -> list[dict[str, object]]:
    """Write explain.csv with good values of the checks of Grad-CAM, but for one that is given; return its rows."""
    columns = ["map", "baseline", "stage", "region", "class", "metric", "n", "value", "low", "high"]
    orders = [(name, baseline) for name in ("deletion", "insertion") for baseline in ("random order", "shifted map")]
    rows = [["grad-cam", baseline, "", "", "", name, 400, 0.4, 0.3, 0.5] for name, baseline in orders]
    rows += [["grad-cam", "", "", "", "", name, 400, 0.9, 0.85, 0.95] for name in ("mirrored", "shifted", "noisy")]
    limits = randomization, randomization - 0.01, randomization + 0.01
    rows.append(["grad-cam", "", "", "", "", "randomization_correlation", 400, *limits])
    folder = root / "metrics/quickstart"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "explain.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return [dict(zip(columns, row, strict=True)) for row in rows]


@pytest.mark.parametrize("randomization", [0.1, 0.9])
def test_read_verdict_is_that_of_the_report(root: Path, randomization: float) -> None:
    rows = write_explanations(root, randomization)
    ((_, checks, verdict),) = rank_methods(read_estimates(rows), ["grad-cam"])
    found = recipes.read_verdict("quickstart", "grad-cam", root)
    assert found == (verdict, tuple(check.criterion for check in checks if check.verdict == "no"))
    assert ("passes randomization test" in found.failed) == (randomization > 0.5)
    assert found.text.startswith("trustworthy") == (randomization < 0.5)


def test_read_verdict_without_measurement_says_so(root: Path) -> None:
    write_explanations(root, 0.1)
    assert recipes.read_verdict("quickstart", "grad-cam++", root).text == "not measured"
    assert recipes.read_verdict("real", "grad-cam", root).text == "not measured"
    (root / "metrics/quickstart/explain.csv").write_text("another,table\n1,2\n")
    assert recipes.read_verdict("quickstart", "grad-cam", root).text == "not measured"
