"""Show what the model of a recipe looks at, and measure whether that is the tumor."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from brain_tumor import localization, runtime
from brain_tumor.attribution import Explained, explain
from brain_tumor.classifier import load
from brain_tumor.explain import COLUMNS, ExplainParams, against_masks, choose_cases, normalize, with_tumor
from brain_tumor.outputs import staged, write_csv, write_json
from brain_tumor.params import read
from brain_tumor.rows import read_rows
from brain_tumor.sheets import HeatCase, heat_sheet
from stage import PARAMS, run

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Write one contact sheet a method, and how well maps find the tumor where masks say where it is."""
    params = read(PARAMS, f"recipes.{name}.explain", ExplainParams)
    device = runtime.start()
    model, card = load(Path("models") / name, device)
    text = {"label": str, "predicted": str}
    predictions = pd.read_csv(f"plots/{name}/predictions.csv", dtype=text, keep_default_na=False)
    cases = choose_cases(predictions, card.classes, params)
    folder = Path(f"data/enhanced/{name}")
    pixels = np.load(folder / "images.npy", mmap_mode="r")
    masks = np.load(folder / "masks.npy", mmap_mode="r") if (folder / "masks.npy").exists() else None

    def explained(method: Any, rows: "pd.Series[int]", labels: "pd.Series[str]") -> Explained:
        targets = torch.tensor([card.classes.index(label) for label in labels])
        return explain(method, model, torch.from_numpy(pixels[rows.to_numpy()]), targets, params.layer, device)

    generated = " (generated images)" if card.generated_data else ""
    measured = pd.DataFrame(columns=COLUMNS)
    if masks is not None:
        rows = read_rows(folder, Path(f"data/split/{name}.csv"), "train", "test")
        chosen = with_tumor(rows[rows["part"] == "test"], masks, params)
        # Where the evidence for the class lies that the image has, right or wrong as the model may be.
        maps: dict[str, NDArray[np.float32]] = {}
        for method in params.methods:
            maps[method] = explained(method, chosen["row"], chosen["label"]).maps
        mean_mask = masks[rows.loc[rows["part"] == "train", "row"].to_numpy()].mean(0, dtype=np.float64) / 255
        own = pixels[chosen["row"].to_numpy()]
        maps |= localization.baselines(own, mean_mask.astype(np.float32), params.seed)
        measured = against_masks(maps, chosen, masks[chosen["row"].to_numpy()] > 127, params)
    outs = (f"plots/{name}/sheets", f"metrics/{name}/explain.json", f"metrics/{name}/explain.csv")
    with staged(*outs) as (sheets, metrics, table):
        sheets.mkdir()
        figures: dict[str, dict[str, float]] = {}
        for method in params.methods:
            # The predicted class: for a wrong case that is what misled the model.
            found = explained(method, cases["row"], cases["predicted"])
            shown = []
            for row, heat, (_, case) in zip(cases["row"], normalize(found.maps), cases.iterrows(), strict=True):
                mask = None if masks is None else masks[row]
                shown.append(HeatCase(pixels[row], heat, mask, _caption(case), case["kind"] == "wrong"))
            layer = f", {params.layer} layer" if method.startswith("grad-cam") else ""
            whose = "for any class" if method == "attention-rollout" else "for the predicted class"
            heat_sheet(sheets / f"{method}.png", shown, f"{name}: {method}{layer}, {whose}{generated}")
            empty = found.maps.reshape(len(shown), -1).max(1) <= 0
            figures[method] = {"shown": len(shown), "empty_maps": int(empty.sum())}
            if found.missed is not None:
                figures[method]["convergence_gap"] = float(np.median(found.missed))
        overall = measured[measured["class"] == ""]
        for which, figure, value in overall[["map", "figure", "value"]].itertuples(index=False):
            figures.setdefault(which, {})[figure] = value
        write_json(metrics, figures, digits=4)
        write_csv(table, measured.round(4))
    log.info("%s: %s", name, figures)


def _caption(case: "pd.Series[Any]") -> str:
    return f"{case['kind']}: {case['predicted']} {case['p']:.0%}\ntrue: {case['label']}  (row {case['row']})"


if __name__ == "__main__":
    run(main, "recipe")
