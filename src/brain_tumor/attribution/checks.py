"""Checks that run the model many times: faithfulness, stability, and randomization of the weights.

Each check measures control maps beside the methods: maps that must pass it, and maps that must fail it.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from brain_tumor.attribution import control_maps, faithfulness, randomization, stability
from brain_tumor.attribution.constants import (
    BLURRED_NOISE,
    CENTER,
    EDGES,
    INTENSITY,
    OTHER_CLASS,
    RANDOM_ORDER,
    SHIFTED,
    TRUE_MASK,
    UNTRAINED,
)
from brain_tumor.attribution.explained_model import ExplainedModel, MapCache
from brain_tumor.attribution.methods import CLASS_AGNOSTIC, Method
from brain_tumor.attribution.tables import NO_MAP, tabulate_means
from brain_tumor.core.tables import class_indices
from brain_tumor.core.types import Floats, Gray, Ints, Maps, Masks
from brain_tumor.metrics.bootstrap import Estimate

Curves = dict[str, dict[str, Floats]]
Correlations = dict[str, dict[str, Estimate]]

COMPARISON_GRID = 32  # cells along each side on which maps are compared; no CAM has more
FOLLOWS_IMAGE, CHANGES_AT_RANDOM = (INTENSITY,), (RANDOM_ORDER, BLURRED_NOISE)  # controls of stability
KNOWS_NO_WEIGHTS = (CENTER, EDGES, INTENSITY)  # controls that fail the randomization test


class Explanations(NamedTuple):
    """Images with their rows, the class (N,) that the model predicts, and the maps for it by method.

    Attributes:
        controls: maps of `another class` and `untrained model` by name.
        tumors: masks of the tumor where the model sees it (its prediction is right), empty elsewhere; None where the
            data set has no masks.
    """

    images: Gray
    rows: pd.DataFrame
    targets: Ints
    maps: dict[Method, Maps]
    controls: dict[str, Maps]
    tumors: Masks | None


def explain_predicted_classes(cache: MapCache, rows: pd.DataFrame, masks: Gray | None = None) -> Explanations:
    """Explain the class that the model predicts for each image.

    Args:
        masks: (N, S, S) tumor masks of all images of the recipe, 0 or 255, or None.
    """
    explained_model, numbers = cache.explained_model, rows["row"].to_numpy()
    params, images = explained_model.params, cache.images[numbers]
    probabilities = explained_model.predict_proba(images)
    targets = probabilities.argmax(1)
    maps = {method: result.maps for method, result in cache.explain(params.methods, numbers, targets).items()}
    method = control_method(explained_model)
    controls = {}
    if method not in CLASS_AGNOSTIC:
        controls[OTHER_CLASS] = cache.explain([method], numbers, probabilities.argmin(1))[method].maps
    controls[UNTRAINED] = untrained_maps(explained_model, images, targets)
    tumors = None
    if masks is not None:
        is_right = targets == class_indices(rows["label"], explained_model.config.classes)
        tumors = (masks[numbers] > 127) & is_right[:, None, None]
    return Explanations(images, rows, targets, maps, controls, tumors)


def control_method(explained_model: ExplainedModel) -> Method:
    """Return the method whose maps of another class and of an untrained model are controls."""
    methods = explained_model.params.methods
    return next((method for method in methods if method not in CLASS_AGNOSTIC), methods[0])


def untrained_maps(explained_model: ExplainedModel, images: Gray, targets: Ints) -> Maps:
    """Compute the maps (N, S, S) of the same network with random weights."""
    method = control_method(explained_model)
    model = randomization.untrained_model(explained_model.model, explained_model.config, explained_model.params.seed)
    with randomization.flush_denormals():
        return explained_model._replace(model=model).explain([method], images, targets)[method].maps


def count_classes(rows: pd.DataFrame, classes: tuple[str, ...], explained_model: ExplainedModel) -> pd.DataFrame:
    """Tabulate the number of images of the smallest class: without it, no verdict is given."""
    counts = [int((rows["label"] == label).sum()) for label in classes]
    table = tabulate_means(NO_MAP, {"smallest_class_images": np.zeros(len(rows))}, rows, explained_model.params)
    return table.assign(value=float(min(counts)), low=np.nan, high=np.nan)


def measure_faithfulness(explained_model: ExplainedModel, explanations: Explanations) -> tuple[pd.DataFrame, Curves]:
    """Tabulate deletion and insertion, and how much better maps are than each map that knows nothing of the model.

    Returns:
        The table, and the mean curves by `deletion` or `insertion` and by map, from no cell on.
    """
    images, rows, targets, maps, controls, tumors = explanations
    seed, params = explained_model.params.seed, explained_model.params
    candidates: dict[str, Maps] = {**{str(method): values for method, values in maps.items()}, **controls}
    if tumors is not None and tumors.any():
        candidates[TRUE_MASK] = tumors.astype(np.float32)
    baselines = control_maps.model_free_maps(images, seed)
    start = {"deletion": images, "insertion": faithfulness.blur_images(images)}
    each = np.arange(len(images))
    starts = {kind: explained_model.predict_proba(altered)[each, targets] for kind, altered in start.items()}
    mean_curves: Curves = {"deletion": {}, "insertion": {}}

    def measure(name: str, values: Maps, draw: bool = True) -> dict[str, Floats]:
        used = values.any((1, 2)) if name == TRUE_MASK else np.ones(len(values), bool)
        args = (explained_model.predict_proba, images[used], values[used], targets[used], seed)
        curves = {"deletion": faithfulness.deletion_curves(*args), "insertion": faithfulness.insertion_curves(*args)}
        if draw:
            for kind, image_curves in curves.items():
                mean_curves[kind][name] = np.concatenate([[starts[kind][used].mean()], image_curves.mean(0)])
        means = {kind: np.full(len(values), np.nan) for kind in curves}
        for kind, image_curves in curves.items():
            means[kind][used] = image_curves.mean(1)
        return means

    measured = {name: measure(name, values) for name, values in baselines.items()}
    tables = [tabulate_means(name, values, rows, params) for name, values in measured.items()]
    for number, (name, values) in enumerate(candidates.items()):
        metrics = measure(name, values)
        if not number or name in maps:
            # Of the first method also for the controls, which are its maps but for the true mask.
            shifted = measure(SHIFTED, control_maps.shift_maps(values, seed), draw=not number)
            if not number:
                first = shifted
                tables.append(tabulate_means(SHIFTED, shifted, rows, params))
        references = measured | {SHIFTED: shifted if name in maps else first}
        differences: dict[tuple[str, str], Floats] = {}
        for baseline, other in references.items():
            differences["deletion", baseline] = other["deletion"] - metrics["deletion"]  # lower is better
            differences["insertion", baseline] = metrics["insertion"] - other["insertion"]
        tables.append(tabulate_means(name, metrics, rows, params, differences=differences))
    return pd.concat(tables), mean_curves


def map_similarity(first: Maps, second: Maps, if_constant: float) -> Floats:
    """Rank correlation (N,) of maps on a grid of COMPARISON_GRID cells.

    Args:
        if_constant: the value where the first map is constant; 0 where only the second one is.
    """
    pooled = [faithfulness.pool_cells(maps, COMPARISON_GRID) for maps in (first, second)]
    values = randomization.rank_correlation(pooled[0], pooled[1])
    is_constant = np.ptp(pooled[0].reshape(len(first), -1), axis=1) == 0
    return np.where(is_constant, if_constant, np.nan_to_num(values))


def measure_stability(explained_model: ExplainedModel, explanations: Explanations) -> pd.DataFrame:
    """Tabulate the similarity of maps to those of slightly changed images, after undoing the change.

    A constant map counts as not stable.
    """
    images, rows, targets, maps, *_ = explanations
    seed, params = explained_model.params.seed, explained_model.params
    altered = stability.perturb_images(images, seed)
    by_change = {name: explained_model.compute_maps(pixels, targets) for name, pixels in altered.items()}
    original: dict[str, Maps] = {str(method): values for method, values in maps.items()}
    perturbed: dict[str, dict[str, Maps]] = {
        str(method): {change: by_change[change][method] for change in altered} for method in maps
    }
    control_originals = control_maps.model_free_maps(images, seed)
    control_perturbed = {
        change: control_maps.model_free_maps(pixels, seed + number)
        for number, (change, pixels) in enumerate(altered.items(), 1)
    }
    for name in (*FOLLOWS_IMAGE, *CHANGES_AT_RANDOM):
        original[name] = control_originals[name]
        perturbed[name] = {change: control_perturbed[change][name] for change in altered}

    def similarity(first: Maps, second: Maps) -> Floats:
        return map_similarity(first, second, if_constant=0.0)

    tables = [
        tabulate_means(name, stability.compare_perturbed(values, perturbed[name], similarity), rows, params)
        for name, values in original.items()
    ]
    return pd.concat(tables)


def randomization_test(
    explained_model: ExplainedModel, explanations: Explanations
) -> tuple[pd.DataFrame, Correlations]:
    """Tabulate the similarity of maps to those of the model under cascading randomization of its weights.

    Each value is the mean over NUM_DRAWS random initializations. An empty map counts as one that does not change, and
    an empty map of the randomized model as one that does.

    Returns:
        The table, whose column `stage` is the lowest randomized part and empty where all parts are randomized; and
        the rank correlation by method and stage.
    """
    images, rows, targets, maps, *_ = explanations
    params = explained_model.params
    sums: dict[str, dict[str, Floats]] = {}
    for draw in range(randomization.NUM_DRAWS):
        for stage, model in randomization.cascading_randomization(
            explained_model.model, explained_model.config, params.seed + draw
        ):
            with randomization.flush_denormals():
                randomized = explained_model._replace(model=model).compute_maps(images, targets)
            by_map = sums.setdefault(stage, {})
            for method, original in maps.items():
                similarity = map_similarity(original, randomized[method], if_constant=1.0)
                by_map[method] = by_map.get(method, 0.0) + similarity / randomization.NUM_DRAWS
    for by_map in sums.values():
        by_map |= {name: np.ones(len(images)) for name in KNOWS_NO_WEIGHTS}
        by_map[RANDOM_ORDER] = _similarity_of_random_maps(images, params.seed)
    correlations: Correlations = {str(method): {} for method in maps}
    tables: list[pd.DataFrame] = []
    for stage, by_map in sums.items():
        for name, values in by_map.items():
            table = tabulate_means(name, {"randomization_correlation": values}, rows, params)
            if name in correlations:
                line = table[["value", "low", "high", "n"]].iloc[0]
                value, low, high, n = line.tolist()
                correlations[name][stage] = Estimate(value, low, high, int(n))
            tables.append(table.assign(stage=stage))
    table = pd.concat(tables)
    return table.assign(stage=table["stage"].where(table["stage"] != stage, "")), correlations


def _similarity_of_random_maps(images: Gray, seed: int) -> Floats:
    """Similarity (N,) of two random maps of each image, as of a method that draws its map anew."""
    random = np.random.default_rng(seed)
    first, second = (random.random(images.shape, np.float32) for _ in range(2))
    return map_similarity(first, second, if_constant=1.0)
