"""Write the report and the model card of a recipe."""

import csv
import json
import logging
import subprocess
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

from brain_tumor import plots
from brain_tumor.leakage import LEAKS
from brain_tumor.model_card import model_card
from brain_tumor.outputs import staged, write_json
from brain_tumor.params import read
from brain_tumor.report import Known, best_baseline, recipe_page
from brain_tumor.results import Results
from stage import PARAMS, run

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Write reports/<recipe>/: report.html, which stands alone, model_card.md, and summary.json for the index."""
    block = read(PARAMS, f"recipes.{name}", dict[str, Any])
    dataset = block["dataset"]
    about = read(PARAMS, f"datasets.{dataset}.about", dict[str, Any])
    card = json.loads(Path(f"models/{name}/model.json").read_text())
    metrics = {key: json.loads(Path(f"metrics/{name}/{key}.json").read_text()) for key in ("split", "train")}
    metrics["audit"] = json.loads(Path(f"metrics/{dataset}/audit.json").read_text())
    maps = list(csv.DictReader(Path(f"metrics/{name}/explain.csv").read_text(encoding="utf-8").splitlines()))
    results = Results.read(Path(f"metrics/{name}/figures.csv"))
    known = Known(name, block, about, card, metrics, results, maps)
    suspects = list(csv.DictReader(Path(f"plots/{name}/suspects.csv").read_text(encoding="utf-8").splitlines()))
    sheets = sorted(path.stem for path in Path(f"plots/{name}/sheets").glob("*.png"))
    pictures = {sheet: Path(f"plots/{name}/sheets/{sheet}.png").read_bytes() for sheet in sheets}
    pictures |= {path.stem: path.read_bytes() for path in sorted(Path(f"plots/{name}/charts").glob("*.png"))}
    pictures |= {path.stem: path.read_bytes() for path in sorted(Path(f"plots/{name}/maps").glob("*.png"))}
    pictures["audit"] = Path(f"plots/{dataset}/audit.png").read_bytes()
    pictures["enhance"] = Path(f"plots/{name}/enhance.png").read_bytes()
    curves, leaks = BytesIO(), BytesIO()
    title = f"{name}{' (generated images)' if about['generated'] else ''}"
    selected = metrics["train"]["selected_epoch"]
    plots.learning_curves(curves, pd.read_csv(f"plots/{name}/curves.csv"), selected, f"{title}: learning curves")
    kinds = {"none": "clean"} | {kind: f"leak: {kind}" for kind in LEAKS}
    by_leak = {kind: found for kind, subset in kinds.items() if (found := results.get("accuracy", subset))}
    plots.leak_chart(leaks, by_leak, f"{title}: {results.n():,} test images")
    pictures |= {"curves": curves.getvalue(), "leaks": leaks.getvalue()}
    commit = last_commit(f"src/{file}" for file in card["code"])
    summary = {
        "recipe": name,
        "dataset": dataset,
        "generated": about["generated"],
        "architecture": card["architecture"],
        "published": _shown(results, "published"),
        "clean": _shown(results, "clean"),
        "baseline": best_baseline(results),
    }
    with staged(f"reports/{name}") as (folder,):
        folder.mkdir()
        page = recipe_page(known, suspects, pictures, sheets, commit)
        (folder / "report.html").write_text(page, encoding="utf-8", newline="\n")
        (folder / "model_card.md").write_text(model_card(known), encoding="utf-8", newline="\n")
        write_json(folder / "summary.json", summary)
    log.info("the report is reports/%s/report.html", name)


def _shown(results: Results, subset: str) -> dict[str, Any]:
    found = {name: results.get(name, subset) for name in ("accuracy", "macro_f1")}
    return {"n": results.n(subset)} | {name: list(figure[:3]) for name, figure in found.items() if figure}


def last_commit(paths: Iterable[str]) -> str:
    """The commit that last changed these files, which is the same in every full clone.

    Not the commit that is checked out: each later commit would change the report without any change in it.
    """
    files = list(paths)

    def git(*words: str) -> str:
        return subprocess.run(["git", *words, "--", *files], capture_output=True, text=True, check=True).stdout.strip()

    try:
        commit = git("log", "-1", "--format=%H")
        changed = git("status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return "unknown (no Git history here)"
    return f"{commit or 'none yet'}{' and changes that are not committed' if changed else ''}"


if __name__ == "__main__":
    run(main, "recipe")
