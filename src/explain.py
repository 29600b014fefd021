"""Show what the model of a recipe looks at, and measure what its heat maps are worth."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor import explanation_charts as charts
from brain_tumor import localization, runtime, shortcuts, trials, trust
from brain_tumor.attribution import CLASSLESS
from brain_tumor.classifier import load
from brain_tumor.errors import UserError
from brain_tumor.explain import ExplainParams, choose_cases, draw, normalize, tabulate
from brain_tumor.explanation_charts import HeatCase
from brain_tumor.outputs import staged, write_csv, write_json
from brain_tumor.params import read
from brain_tumor.rows import read_rows
from brain_tumor.trials import Subject
from stage import PARAMS, run

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Write sheets of heat maps, charts of what is measured of them, and the figures."""
    params = read(PARAMS, f"recipes.{name}.explain", ExplainParams)
    device = runtime.start()
    model, card = load(Path("models") / name, device)
    subject = Subject(model, card, params, device)
    folder = Path(f"data/enhanced/{name}")
    rows = read_rows(folder, Path(f"data/split/{name}.csv"), "train", "test")
    training, test = (rows[rows["part"] == part].reset_index(drop=True) for part in ("train", "test"))
    pixels = np.load(folder / "images.npy", mmap_mode="r")
    masks = np.load(folder / "masks.npy", mmap_mode="r") if (folder / "masks.npy").exists() else None
    text = {"label": str, "predicted": str}
    predictions = pd.read_csv(f"plots/{name}/predictions.csv", dtype=text, keep_default_na=False)
    title = f"{name}{' (generated images)' if card.generated_data else ''}"

    outs = (f"plots/{name}/sheets", f"plots/{name}/maps", f"metrics/{name}/explain.json", f"metrics/{name}/explain.csv")
    with staged(*outs) as (sheets, drawn, metrics, table):
        sheets.mkdir()
        drawn.mkdir()
        gaps = show(subject, choose_cases(predictions, card.classes, params), pixels, masks, sheets, title)
        figures = measure(subject, training, test, pixels, masks, drawn, title)
        overall = figures[(figures["class"] == "") & ~figures["figure"].str.contains(trials.DOWN_TO)]
        found: dict[str, dict[str, Any]] = {method: dict(each) for method, each in gaps.items()}
        for which, figure, n, *span in overall[["map", "figure", "n", "value", "low", "high"]].itertuples(index=False):
            known = found.setdefault(which, {})
            known[figure] = span[0]
            # Lists, which `dvc metrics diff` leaves out: its table stays short.
            known.setdefault("n_low_high", {})[figure] = [n, *span[1:]]
        write_json(metrics, found, digits=4)
        write_csv(table, figures.round(4))
    spans = trust.spans(figures.round(4).to_dict("records"))  # type: ignore[arg-type]
    log.info("%s: %s", name, trust.sentence(spans, params.methods))


def show(
    subject: Subject,
    cases: pd.DataFrame,
    pixels: NDArray[np.uint8],
    masks: NDArray[np.uint8] | None,
    folder: Path,
    title: str,
) -> dict[str, dict[str, float]]:
    """Write a sheet a method, and one with all methods; return by method how many maps are empty."""
    methods, classes = subject.params.methods, subject.card.classes
    images = pixels[cases["row"].to_numpy()]
    predicted, other = (
        np.array([classes.index(label) for label in cases[column]], np.int64) for column in ("predicted", "other")
    )
    found: dict[str, dict[str, float]] = {}
    heats: dict[str, Any] = {}
    for method in methods:
        of_predicted = subject.explain(method, images, predicted)
        heats[method] = normalize(of_predicted.maps)
        by_name = [{"for any class": heat} for heat in heats[method]]
        if method not in CLASSLESS:
            others = normalize(subject.explain(method, images, other).maps)
            labels = zip(cases["predicted"], cases["other"], heats[method], others, strict=True)
            by_name = [{f"for {one}": heat, f"for {two}": second} for one, two, heat, second in labels]
        layer = f", {subject.params.layer} layer" if method.startswith("grad-cam") else ""
        charts.heat_sheet(folder / f"{method}.png", _cases(cases, images, by_name, masks), f"{title}: {method}{layer}")
        empty = of_predicted.maps.reshape(len(images), -1).max(1) <= 0
        found[method] = {"shown": len(images), "empty_maps": int(empty.sum())}
    if len(methods) > 1:
        first = cases.drop_duplicates(["label", "kind"])
        by_name = [{method: heats[method][k] for method in methods} for k in first.index]
        shown = _cases(first, images[first.index], by_name, masks)
        charts.heat_sheet(folder / "all-methods.png", shown, f"{title}: all methods, for the predicted class")
    return found


def _cases(
    cases: pd.DataFrame,
    images: NDArray[np.uint8],
    heats: list[dict[str, NDArray[np.float32]]],
    masks: NDArray[np.uint8] | None,
) -> list[HeatCase]:
    shown = []
    for image, by_name, (_, case) in zip(images, heats, cases.iterrows(), strict=True):
        caption = f"{case['kind']}: {case['predicted']} {case['p']:.0%}, true: {case['label']}  (row {case['row']})"
        mask = None if masks is None else masks[case["row"]]
        shown.append(HeatCase(image, by_name, mask, caption, case["predicted"] != case["label"]))
    return shown


def measure(
    subject: Subject,
    training: pd.DataFrame,
    test: pd.DataFrame,
    pixels: NDArray[np.uint8],
    masks: NDArray[np.uint8] | None,
    folder: Path,
    title: str,
) -> pd.DataFrame:
    """Measure maps of test images, draw the charts, and return the table of figures."""
    params, classes = subject.params, subject.card.classes

    def numbers(rows: pd.DataFrame) -> NDArray[np.int64]:
        return np.array([classes.index(label) for label in rows["label"]], np.int64)

    if test.empty:
        raise UserError("the split has no test rows: there is nothing to explain")
    clean = test[test["leak"] == ""].reset_index(drop=True)
    if len(clean) >= trust.FEW:  # images that were not trained on, as far as there are enough of them
        test = clean
    rows = draw(test, params.measured, params.seed)
    images = pixels[rows["row"].to_numpy()]
    inside = shortcuts.heads(images)
    # Where the evidence for the class lies that an image has, right or wrong as the model may be.
    explained = {str(method): subject.explain(method, images, numbers(rows)) for method in params.methods}
    maps = {method: found.maps for method, found in explained.items()}
    charts.mean_maps(folder / "mean.png", *_means(maps, inside, rows, classes), f"{title}: mean maps")
    tables = [
        tabulate(method, {"convergence_gap": np.asarray(found.missed, np.float64)}, rows, params)
        for method, found in explained.items()
        if found.missed is not None
    ]
    if masks is not None and masks[rows["row"].to_numpy()].any():
        mean_mask = masks[training["row"].to_numpy()].mean(0, dtype=np.float64) / 255
        others = localization.baselines(images, mean_mask.astype(np.float32), params.seed)
        tables.append(trials.against_masks(maps, others, masks[rows["row"].to_numpy()] > 127, rows, params))
    tables.append(trials.on_areas(maps, images, inside, rows, params))
    every = pixels[test["row"].to_numpy()]
    tables.append(trials.blanked(subject, every, shortcuts.heads(every), numbers(test), test))

    few = draw(rows, params.checked, params.seed)
    asked = trials.ask(subject, pixels[few["row"].to_numpy()], few)
    table, curves = trials.removal(subject, asked)
    charts.removal_chart(folder / "removal.png", curves, f"{title}: {len(few)} test images without their pixels")
    tables += [table, trials.small_changes(subject, asked)]
    table, likeness = trials.randomization(subject, asked)
    words = f"{title}: maps of {len(few)} test images while the model is randomized"
    charts.randomization_chart(folder / "randomized.png", likeness, trust.UNCHANGED, words)
    return pd.concat([*tables, table], ignore_index=True)


def _means(
    maps: dict[str, NDArray[np.float32]], inside: NDArray[np.bool_], rows: pd.DataFrame, classes: tuple[str, ...]
) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
    """Mean maps by method and class, each map spread to a mean of 1; where the head is not; images of each class."""
    labels = rows["label"].to_numpy(str)
    counts = {label: int((labels == label).sum()) for label in classes if (labels == label).any()}
    found: dict[str, dict[str, Any]] = {"": {label: 1.0 - inside[labels == label].mean(0) for label in counts}}
    for method, values in maps.items():
        level = values.mean((1, 2), keepdims=True)
        even = np.divide(values, level, out=np.zeros_like(values), where=level > 0)
        found[method] = {label: even[labels == label].mean(0) for label in counts}
    return found, counts


if __name__ == "__main__":
    run(main, "recipe")
