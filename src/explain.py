"""Show what the model of a recipe looks at, over right and wrong test cases."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from brain_tumor import runtime
from brain_tumor.attribution import explain
from brain_tumor.classifier import load
from brain_tumor.explain import ExplainParams, choose_cases, normalize
from brain_tumor.outputs import staged, write_json
from brain_tumor.params import read
from brain_tumor.sheets import HeatCase, heat_sheet
from stage import PARAMS, run

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Write one contact sheet a method, and the counts of cases behind it."""
    params = read(PARAMS, f"recipes.{name}.explain", ExplainParams)
    device = runtime.start()
    model, card = load(Path("models") / name, device)
    cases = choose_cases(pd.read_csv(f"plots/{name}/predictions.csv"), card.classes, params)
    rows = cases["row"].to_numpy()
    folder = Path(f"data/enhanced/{name}")
    images = np.load(folder / "images.npy", mmap_mode="r")[rows]
    masks = np.load(folder / "masks.npy", mmap_mode="r")[rows] if (folder / "masks.npy").exists() else None
    # The predicted class: for a wrong case that is what misled the model.
    targets = torch.tensor([card.classes.index(label) for label in cases["predicted"]])
    generated = " (generated images)" if card.generated_data else ""
    with staged(f"plots/{name}/sheets", f"metrics/{name}/explain.json") as (sheets, metrics):
        sheets.mkdir()
        figures: dict[str, dict[str, float]] = {}
        for method in params.methods:
            found = explain(method, model, torch.from_numpy(images), targets, params.layer, device)
            maps = found.maps
            shown = [
                HeatCase(image, heat, None if masks is None else masks[i], _caption(case), case["kind"] == "wrong")
                for i, (image, heat, (_, case)) in enumerate(
                    zip(images, normalize(maps), cases.iterrows(), strict=True)
                )
            ]
            layer = f", {params.layer} layer" if method.startswith("grad-cam") else ""
            whose = "for any class" if method == "attention-rollout" else "for the predicted class"
            title = f"{name}: {method}{layer}, {whose}{generated}"
            heat_sheet(sheets / f"{method}.png", shown, title)
            figures[method] = {"n": len(maps), "empty_maps": int((maps.reshape(len(maps), -1).max(1) <= 0).sum())}
            if found.missed is not None:
                figures[method]["convergence_gap"] = float(np.median(found.missed))
        kinds = cases["kind"].value_counts()
        write_json(metrics, {"cases": {kind: int(kinds.get(kind, 0)) for kind in ("right", "wrong")}} | figures)
    log.info("%s: %s", name, figures)


def _caption(case: "pd.Series[Any]") -> str:
    return f"{case['kind']}: {case['predicted']} {case['p']:.0%}\ntrue: {case['label']}  (row {case['row']})"


if __name__ == "__main__":
    run(main, "recipe")
