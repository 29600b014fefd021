"""Measurement of a model's heat maps: the tables of explain.csv, and the curves and mean maps that are drawn.

Images are (N, S, S) uint8, maps (N, S, S) by name; `rows` has the columns row, label and group of each image.
"""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.attribution import faithfulness, localization, randomization, shortcuts, stability
from brain_tumor.attribution.cases import ExplainParams, sample_rows, select_test_rows
from brain_tumor.attribution.explained_model import ExplainedModel, MapCache
from brain_tumor.attribution.methods import Attributions, Method
from brain_tumor.attribution.tables import NO_MAP, tabulate_means
from brain_tumor.core.tables import class_indices
from brain_tumor.core.types import Floats, Gray, Ints, Maps, Masks
from brain_tumor.metrics.bootstrap import Estimate

Curves = dict[str, dict[str, Floats]]
Correlations = dict[str, dict[str, Estimate]]


class Measurements(NamedTuple):
    """Results of `measure_explanations`.

    Attributes:
        table: the rows of explain.csv.
        mean_maps: (K, S, S) maps by method, see `average_maps`.
        outside_head: (K, S, S) fraction of each class's images in which a pixel lies outside the head.
        class_counts: number of images of each of the K classes that have any.
        curves: mean (steps,) of `deletion` and `insertion`, by map.
        correlations: rank correlation by method and stage of the cascading randomization.
        num_images_checks: number of images behind `curves` and `correlations`.
    """

    table: pd.DataFrame
    mean_maps: dict[str, Maps]
    outside_head: Floats
    class_counts: dict[str, int]
    curves: Curves
    correlations: Correlations
    num_images_checks: int


def measure_explanations(cache: MapCache, train: pd.DataFrame, test: pd.DataFrame, masks: Gray | None) -> Measurements:
    """Measure the maps of a sample of the test images, clean ones where there are enough.

    Args:
        cache: maps of the recipe's model and images.
        train: the training rows.
        test: the test rows.
        masks: (N, S, S) tumor masks of all images of the recipe, 0 or 255, or None.

    Raises:
        UserError: there are no test rows.
    """
    explained_model, images = cache.explained_model, cache.images
    params, classes = explained_model.params, explained_model.config.classes
    test = select_test_rows(test)
    rows = sample_rows(test, params.num_images_measured, params.seed)
    sample = images[rows["row"].to_numpy()]
    heads = shortcuts.head_masks(sample)
    attributions = explain_true_classes(cache, rows)
    maps = {name: result.maps for name, result in attributions.items()}

    tables = convergence_tables(attributions, rows, params)
    tumors = None if masks is None else masks[rows["row"].to_numpy()]
    if masks is not None and tumors is not None and tumors.any():
        mean_mask = masks[train["row"].to_numpy()].mean(0, dtype=np.float64) / 255
        baselines = localization.localization_baselines(sample, mean_mask.astype(np.float32), params.seed)
        tables.append(localization_table(maps, baselines, tumors > 127, rows, params))
    tables.append(relevance_by_region(maps, sample, heads, rows, params))
    test_images = images[test["row"].to_numpy()]
    tables.append(accuracy_with_masked_regions(explained_model, test_images, shortcuts.head_masks(test_images), test))

    explanations = explain_predicted_classes(cache, sample_rows(rows, params.num_images_checks, params.seed))
    faithfulness_table, curves = deletion_insertion_road(explained_model, explanations)
    stability_table = infidelity_and_stability(explained_model, explanations)
    randomization_table, correlations = randomization_test(explained_model, explanations)
    tables += [faithfulness_table, stability_table, randomization_table]

    labels = rows["label"].to_numpy(str)
    counts = {label: int((labels == label).sum()) for label in classes if (labels == label).any()}
    return Measurements(
        pd.concat(tables, ignore_index=True),
        average_maps(maps, labels, list(counts)),
        np.stack([1.0 - heads[labels == label].mean(0) for label in counts]),
        counts,
        curves,
        correlations,
        len(explanations.rows),
    )


def explain_true_classes(cache: MapCache, rows: pd.DataFrame) -> dict[str, Attributions]:
    """Explain the true class of each image, whether or not the model predicts it: that is the class with a mask."""
    targets = class_indices(rows["label"], cache.explained_model.config.classes)
    return {
        str(method): cache.explain(method, rows["row"].to_numpy(), targets)
        for method in cache.explained_model.params.methods
    }


def average_maps(maps: Mapping[str, Maps], labels: NDArray[np.str_], classes: list[str]) -> dict[str, Maps]:
    """Average the maps (N, S, S) of each class, each scaled to a mean of 1 first: (K, S, S) by name."""
    averages = {}
    for name, values in maps.items():
        level = values.mean((1, 2), keepdims=True)
        scaled = np.divide(values, level, out=np.zeros_like(values), where=level > 0)
        averages[name] = np.stack([scaled[labels == label].mean(0) for label in classes])
    return averages


def convergence_tables(
    attributions: Mapping[str, Attributions], rows: pd.DataFrame, params: ExplainParams
) -> list[pd.DataFrame]:
    """Tabulate the convergence delta of the methods that have one."""
    return [
        tabulate_means(name, {"convergence_delta": result.convergence_delta}, rows, params)
        for name, result in attributions.items()
        if result.convergence_delta is not None
    ]


def localization_table(
    maps: Mapping[str, Maps], baselines: Mapping[str, Maps], masks: Masks, rows: pd.DataFrame, params: ExplainParams
) -> pd.DataFrame:
    """Tabulate how well maps and baselines localize the tumor, and how much better maps do than each baseline.

    Args:
        masks: empty for images without a tumor or without a mask.
    """
    metrics = {name: localization.localization_metrics(values, masks) for name, values in {**maps, **baselines}.items()}
    tables = []
    for name, values in metrics.items():
        differences = {
            (metric, baseline): values[metric] - metrics[baseline][metric]
            for metric in ("relevance_inside", "pointing")
            for baseline in baselines
            if name in maps
        }
        tables.append(tabulate_means(name, values, rows, params, by_class=True, differences=differences))
    return pd.concat(tables)


def relevance_by_region(
    maps: Mapping[str, Maps], images: Gray, heads: Masks, rows: pd.DataFrame, params: ExplainParams
) -> pd.DataFrame:
    """Tabulate the fraction of relevance in non-diagnostic regions, that of the area, and the difference."""
    regions = shortcuts.non_diagnostic_regions(images, heads)
    tables = []
    for name, values in maps.items():
        for region, mask in regions.items():
            relevance, area = shortcuts.relevance_fraction(values, mask)
            metrics = {"relevance": relevance, "area": area, "excess_relevance": relevance - area}
            tables.append(tabulate_means(name, metrics, rows, params).assign(region=region))
    return pd.concat(tables)


def accuracy_with_masked_regions(
    explained_model: ExplainedModel, images: Gray, heads: Masks, rows: pd.DataFrame
) -> pd.DataFrame:
    """Tabulate accuracy on images, and on the same images with all but one region black: the head, or all but it."""
    targets = class_indices(rows["label"], explained_model.config.classes)

    def measure_accuracy(visible: Gray) -> Floats:
        return np.asarray(explained_model.predict_proba(visible).argmax(1) == targets, np.float64)

    accuracy = measure_accuracy(images)
    tables = [tabulate_means(NO_MAP, {"accuracy": accuracy}, rows, explained_model.params)]
    for region, mask in (("head", heads), ("outside_head", ~heads)):
        visible = measure_accuracy(images * mask)
        metrics = {"accuracy": visible, "accuracy_change": visible - accuracy}
        tables.append(tabulate_means(NO_MAP, metrics, rows, explained_model.params).assign(region=region))
    return pd.concat(tables)


class Explanations(NamedTuple):
    """Images with their rows, the class (N,) that the model predicts, and the maps for it by method."""

    images: Gray
    rows: pd.DataFrame
    targets: Ints
    maps: dict[Method, Maps]


def explain_predicted_classes(cache: MapCache, rows: pd.DataFrame) -> Explanations:
    """Explain the class that the model predicts for each image."""
    numbers = rows["row"].to_numpy()
    images = cache.images[numbers]
    targets = cache.explained_model.predict_proba(images).argmax(1)
    maps = {method: cache.explain(method, numbers, targets).maps for method in cache.explained_model.params.methods}
    return Explanations(images, rows, targets, maps)


def deletion_insertion_road(explained_model: ExplainedModel, explanations: Explanations) -> tuple[pd.DataFrame, Curves]:
    """Tabulate deletion, insertion and ROAD of maps and baselines, and how much better maps do than each baseline.

    Returns:
        The table, and the mean curves by `deletion` or `insertion` and by map.
    """
    images, rows, targets, maps = explanations
    seed = explained_model.params.seed
    baselines = localization.faithfulness_baselines(images, seed)
    tables: list[pd.DataFrame] = []
    mean_curves: Curves = {"deletion": {}, "insertion": {}}
    metrics: dict[str, dict[str, Floats]] = {}
    named_maps: dict[str, Maps] = {**baselines, **{str(method): method_maps for method, method_maps in maps.items()}}
    for name, map_values in named_maps.items():
        args = (explained_model.predict_proba, images, map_values, targets, seed)
        curves = {"deletion": faithfulness.deletion_curves(*args), "insertion": faithfulness.insertion_curves(*args)}
        for kind, image_curves in curves.items():
            mean_curves[kind][name] = image_curves.mean(0)
        metrics[name] = {kind: faithfulness.area_under_curves(image_curves) for kind, image_curves in curves.items()}
        metrics[name]["road"] = faithfulness.road(*args)
        differences: dict[tuple[str, str], Floats] = {}
        for baseline in baselines if name not in baselines else ():
            values, other = metrics[name], metrics[baseline]
            differences["deletion", baseline] = other["deletion"] - values["deletion"]  # lower is better
            differences["insertion", baseline] = values["insertion"] - other["insertion"]
            differences["road", baseline] = values["road"] - other["road"]
        tables.append(tabulate_means(name, metrics[name], rows, explained_model.params, differences=differences))
    return pd.concat(tables), mean_curves


def infidelity_and_stability(explained_model: ExplainedModel, explanations: Explanations) -> pd.DataFrame:
    """Tabulate the infidelity of maps and their stability under small perturbations of the image."""
    images, rows, targets, maps = explanations
    model, params, device = explained_model.model, explained_model.params, explained_model.device
    tables = []
    for method, original in maps.items():
        compute = functools.partial(explained_model.compute_maps, method, targets=targets)
        metrics = stability.stability_metrics(compute, images, original, params.seed)
        metrics["infidelity"] = faithfulness.normalized_infidelity(
            model, images, original, targets, device, params.seed
        )
        metrics["max_sensitivity"] = stability.max_sensitivity(
            method, model, images, original, targets, params.layer, device, params.seed
        )
        tables.append(tabulate_means(method, metrics, rows, params))
    return pd.concat(tables)


def randomization_test(
    explained_model: ExplainedModel, explanations: Explanations
) -> tuple[pd.DataFrame, Correlations]:
    """Tabulate the similarity of maps to those of the model under cascading randomization of its weights.

    Returns:
        The table, whose column `stage` is the lowest randomized part and empty where all parts are randomized; and
        the rank correlation by method and stage.
    """
    images, rows, targets, maps = explanations
    params = explained_model.params
    tables: list[pd.DataFrame] = []
    correlations: Correlations = {method: {} for method in maps}
    for stage, model in randomization.cascading_randomization(
        explained_model.model, explained_model.config, params.seed
    ):
        for method, original in maps.items():
            randomized = explained_model._replace(model=model).compute_maps(method, images, targets)
            metrics = {
                "randomization_correlation": randomization.rank_correlation(original, randomized),
                "randomization_ssim": randomization.ssim(original, randomized),
            }
            table = tabulate_means(method, metrics, rows, params)
            correlations[method][stage] = _estimate(table, "randomization_correlation")
            tables.append(table.assign(stage=stage))
    table = pd.concat(tables)
    return table.assign(stage=table["stage"].where(table["stage"] != stage, "")), correlations


def _estimate(table: pd.DataFrame, metric: str) -> Estimate:
    """Look up a metric; NaN with n = 0 where it is not defined for any image."""
    lines = table.loc[table["metric"] == metric, ["value", "low", "high", "n"]].itertuples(index=False)
    return Estimate(*next(iter(lines), (np.nan, np.nan, np.nan, 0)))
