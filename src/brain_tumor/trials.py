"""All that is measured of the maps of a model, each trial a table as `explain.tabulate` gives it.

Images are (N, H, W) uint8, maps (N, H, W) by name, rows have label and group of each image.
"""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from brain_tumor import faithfulness, localization, sanity, shortcuts
from brain_tumor.attribution import Explained, Method, explain
from brain_tumor.classifier import Classifier, ModelCard
from brain_tumor.explain import MODEL, ExplainParams, tabulate
from brain_tumor.explanation_charts import BLURRED, CENTER, RANDOM
from brain_tumor.inference import predict_calibrated
from brain_tumor.trust import OVER, Span

Gray = NDArray[np.uint8]
Maps = NDArray[np.float32]
Masks = NDArray[np.bool_]
Values = NDArray[np.float64]
Numbers = NDArray[np.int64]
DOWN_TO = "_down_to_"  # between a figure and the lowest part of the model that is randomized


class Subject(NamedTuple):
    """A model that is asked and explained, where it stands, and what says how."""

    model: Classifier
    card: ModelCard
    params: ExplainParams
    device: torch.device

    def ask(self, images: Gray) -> Values:
        """Calibrated probabilities (N, K) of images alone, without what may be known beside them."""
        return predict_calibrated(self.model, self.card, images, self.device)

    def explain(self, method: Method, images: Gray, targets: Numbers) -> Explained:
        """Maps of images for one class each."""
        pixels, wanted = torch.from_numpy(images), torch.from_numpy(targets)
        return explain(method, self.model, pixels, wanted, self.params.layer, self.device)


def against_masks(
    maps: Mapping[str, Maps], others: Mapping[str, Maps], masks: Masks, rows: pd.DataFrame, params: ExplainParams
) -> pd.DataFrame:
    """How well maps, and others that do not ask the model, find the tumor; and how much better than each of these.

    Args:
        masks: empty where an image has no tumor or its place is not known.
    """
    found = {name: localization.figures(values, masks) for name, values in {**maps, **others}.items()}
    for name in maps:
        for figure in ("relevance_inside", "pointing"):
            for other in others:
                found[name][f"{figure}{OVER}{other}"] = found[name][figure] - found[other][figure]
    return pd.concat([tabulate(name, values, rows, params, by_class=True) for name, values in found.items()])


def on_areas(
    maps: Mapping[str, Maps], images: Gray, inside: Masks, rows: pd.DataFrame, params: ExplainParams
) -> pd.DataFrame:
    """How much relevance lies where no diagnosis can come from, beside the area's share of the image."""
    places = shortcuts.areas(images, inside)
    tables = []
    for name, values in maps.items():
        found: dict[str, Values] = {}
        for place, area in places.items():
            relevance, size = shortcuts.share(values, area)
            found |= {place: relevance, f"area_{place}": size, f"excess_{place}": relevance - size}
        tables.append(tabulate(name, found, rows, params))
    return pd.concat(tables)


def blanked(subject: Subject, images: Gray, inside: Masks, truth: Numbers, rows: pd.DataFrame) -> pd.DataFrame:
    """Accuracy on all test images, with everything outside the head black, and with the head black."""
    shown = {"accuracy": images, "accuracy_head_alone": images * inside, "accuracy_without_head": images * ~inside}
    right = {figure: (subject.ask(seen).argmax(1) == truth) * 1.0 for figure, seen in shown.items()}
    for figure in list(right)[1:]:
        right[f"change_of_{figure}"] = right[figure] - right["accuracy"]
    return tabulate(MODEL, right, rows, subject.params)


class Asked(NamedTuple):
    """Images with the class that the model gives each (N,), and the maps for it by method: what checks begin with."""

    images: Gray
    rows: pd.DataFrame
    targets: Numbers
    maps: dict[Method, Maps]


def ask(subject: Subject, images: Gray, rows: pd.DataFrame) -> Asked:
    """Explain the class that the model predicts."""
    targets = subject.ask(images).argmax(1)
    maps = {method: subject.explain(method, images, targets).maps for method in subject.params.methods}
    return Asked(images, rows, targets, maps)


def removal(subject: Subject, asked: Asked) -> tuple[pd.DataFrame, dict[str, dict[str, Values]]]:
    """What becomes of the probability without the pixels that a map calls relevant, beside maps that know nothing.

    Returns:
        The table, and the mean curves by `deletion` or `insertion` and by map.
    """
    images, rows, targets, _ = asked
    random = np.random.default_rng(subject.params.seed)
    center = np.broadcast_to(localization.center(*images.shape[1:]), images.shape)
    blind: dict[str, Maps] = {
        RANDOM: random.random(images.shape, np.float32),
        BLURRED: localization.blurred_noise(images, random),
        CENTER: np.ascontiguousarray(center),
    }
    tables: list[pd.DataFrame] = []
    curves: dict[str, dict[str, Values]] = {"deletion": {}, "insertion": {}}
    known: dict[str, dict[str, Values]] = {}
    for name, values in (blind | {str(method): own for method, own in asked.maps.items()}).items():
        given = (subject.ask, images, values, targets, subject.params.seed)
        of = {"deletion": faithfulness.deletion(*given), "insertion": faithfulness.insertion(*given)}
        found = {kind: faithfulness.area(each) for kind, each in of.items()}
        for kind, each in of.items():
            curves[kind][name] = each.mean(0)
        found["road"] = faithfulness.road(*given)
        known[name] = dict(found)
        if name not in blind:
            for other in blind:
                found[f"deletion{OVER}{other}"] = known[other]["deletion"] - found["deletion"]  # low is good
                for figure in ("insertion", "road"):
                    found[f"{figure}{OVER}{other}"] = found[figure] - known[other][figure]
        tables.append(tabulate(name, found, rows, subject.params))
    return pd.concat(tables), curves


def small_changes(subject: Subject, asked: Asked) -> pd.DataFrame:
    """How far maps say what squares do to the score, and how far they move with the image."""
    images, rows, targets, maps = asked
    model, params, device = subject.model, subject.params, subject.device
    tables = []
    for method, own in maps.items():
        explain_again = functools.partial(_maps, subject, method, targets)
        found = sanity.stability(explain_again, images, own, params.seed)
        found["infidelity"] = faithfulness.unexplained(model, images, own, targets, device, params.seed)
        found["max_sensitivity"] = faithfulness.sensitivity(
            method, model, images, targets, params.layer, device, params.seed
        )
        tables.append(tabulate(method, found, rows, params))
    return pd.concat(tables)


def randomization(subject: Subject, asked: Asked) -> tuple[pd.DataFrame, dict[str, dict[str, Span]]]:
    """How like maps stay to those of the model while it loses what it has learned, from the head downwards.

    Returns:
        The table (`untrained` is the model without anything learned), and the rank correlation by method and stage.
    """
    tables: list[pd.DataFrame] = []
    likeness: dict[str, dict[str, Span]] = {method: {} for method in asked.maps}
    for stage, model in sanity.randomized(subject.model, subject.card, subject.params.seed):
        for method, own in asked.maps.items():
            other = _maps(subject._replace(model=model), method, asked.targets, asked.images)
            found = {"untrained": sanity.rank_correlation(own, other), "untrained_ssim": sanity.structure(own, other)}
            table = tabulate(method, found, asked.rows, subject.params)
            known = table.loc[table["figure"] == "untrained", ["value", "low", "high", "n"]].itertuples(index=False)
            # Nothing where all maps are empty.
            likeness[method][stage] = Span(*next(iter(known), (np.nan, np.nan, np.nan, 0)))
            tables.append(table.assign(stage=stage))
    table = pd.concat(tables)
    last = table["stage"] == stage
    table["figure"] = table["figure"].where(last, table["figure"] + DOWN_TO + table["stage"])
    return table.drop(columns="stage"), likeness


def _maps(subject: Subject, method: Method, targets: Numbers, images: Gray) -> Maps:
    return subject.explain(method, images, targets).maps
