"""Measurement of a model's heat maps: the tables of explain.csv, and the curves and mean maps that are drawn.

Images are (N, S, S) uint8, maps (N, S, S) by name; `rows` has the columns row, label and group of each image.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.attribution import checks, control_maps, localization, shortcuts
from brain_tumor.attribution.cases import ExplainParams, sample_rows, select_test_rows
from brain_tumor.attribution.checks import Correlations, Curves
from brain_tumor.attribution.constants import BLURRED_NOISE, OTHER_CLASS, RANDOM_ORDER, TRUE_MASK, UNTRAINED
from brain_tumor.attribution.explained_model import ExplainedModel, MapCache
from brain_tumor.attribution.methods import CLASS_AGNOSTIC, Attributions
from brain_tumor.attribution.tables import NO_MAP, tabulate_means
from brain_tumor.core.tables import class_indices
from brain_tumor.core.types import Floats, Gray, Maps, Masks


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
    tumors = None if masks is None else masks[rows["row"].to_numpy()] > 127
    region_controls = {
        name: values
        for name, values in control_maps.model_free_maps(sample, params.seed).items()
        if name in (RANDOM_ORDER, BLURRED_NOISE)
    }
    if masks is not None and tumors is not None and tumors.any():
        mean_mask = masks[train["row"].to_numpy()].mean(0, dtype=np.float64) / 255
        tables.append(measure_localization(cache, rows, maps, tumors, mean_mask.astype(np.float32)))
        region_controls[TRUE_MASK] = tumors.astype(np.float32)
    tables.append(relevance_by_region(maps | region_controls, sample, heads, rows, params))
    tables.append(accuracy_with_masked_regions(explained_model, sample, heads, rows))

    check_rows = sample_rows(rows, params.num_images_checks, params.seed)
    explanations = checks.explain_predicted_classes(cache, check_rows, masks)
    tables.append(checks.count_classes(check_rows, classes, explained_model))
    faithfulness_table, curves = checks.measure_faithfulness(explained_model, explanations)
    randomization_table, correlations = checks.randomization_test(explained_model, explanations)
    tables += [faithfulness_table, checks.measure_stability(explained_model, explanations), randomization_table]

    labels = rows["label"].to_numpy(str)
    counts = {label: int((labels == label).sum()) for label in classes if (labels == label).any()}
    return Measurements(
        pd.concat(tables, ignore_index=True),
        average_maps(maps, shortcuts.content_masks(sample), labels, list(counts)),
        np.stack([1.0 - heads[labels == label].mean(0) for label in counts]),
        counts,
        curves,
        correlations,
        len(explanations.rows),
    )


def explain_true_classes(cache: MapCache, rows: pd.DataFrame) -> dict[str, Attributions]:
    """Explain the true class of each image, whether or not the model predicts it: that is the class with a mask."""
    targets = class_indices(rows["label"], cache.explained_model.config.classes)
    results = cache.explain(cache.explained_model.params.methods, rows["row"].to_numpy(), targets)
    return {str(method): result for method, result in results.items()}


def average_maps(
    maps: Mapping[str, Maps], content: Masks, labels: NDArray[np.str_], classes: list[str]
) -> dict[str, Maps]:
    """Average the maps (N, S, S) of each class: (K, S, S) by name, relative to the mean of the method's maps.

    The maps of a method keep their common scale; if each were scaled by itself, the noise of empty maps would count as
    much as the relevance of others.

    Args:
        content: (N, S, S), outside of which relevance is left out: there is no image.
    """
    averages = {}
    for name, values in maps.items():
        level = float(values.mean()) or 1.0
        drawn = values * content / np.float32(level)
        averages[name] = np.stack([drawn[labels == label].mean(0) for label in classes])
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


def measure_localization(
    cache: MapCache, rows: pd.DataFrame, maps: Mapping[str, Maps], masks: Masks, mean_mask: Maps
) -> pd.DataFrame:
    """Tabulate the localization of the tumor by the methods' maps for the true class, and by control maps.

    Args:
        masks: empty for images without a tumor or without a mask.
        mean_mask: (S, S), how often each pixel is tumor in training images.
    """
    explained_model, numbers = cache.explained_model, rows["row"].to_numpy()
    images, targets = cache.images[numbers], class_indices(rows["label"], explained_model.config.classes)
    method = checks.control_method(explained_model)
    controls: dict[str, Maps] = {}
    if method not in CLASS_AGNOSTIC:
        other = explained_model.predict_proba(images)
        other[np.arange(len(targets)), targets] = np.inf  # the least probable of the other classes
        controls[OTHER_CLASS] = cache.explain([method], numbers, other.argmin(1))[method].maps
    controls[UNTRAINED] = checks.untrained_maps(explained_model, images, targets)
    controls[TRUE_MASK] = masks.astype(np.float32)
    baselines = control_maps.model_free_maps(images, explained_model.params.seed, mean_mask)
    return localization_table({**maps, **controls}, baselines, masks, rows, explained_model.params)


def localization_table(
    maps: Mapping[str, Maps], baselines: Mapping[str, Maps], masks: Masks, rows: pd.DataFrame, params: ExplainParams
) -> pd.DataFrame:
    """Tabulate how well maps and baselines localize the tumor, and how much better maps do than each baseline.

    By class and by size of the tumor as well.

    Args:
        masks: empty for images without a tumor or without a mask.
    """
    metrics = {name: localization.localization_metrics(values, masks) for name, values in {**maps, **baselines}.items()}
    sizes = np.array(localization.tumor_sizes(masks))
    tables = []
    for name, values in metrics.items():
        differences = {
            (metric, baseline): values[metric] - metrics[baseline][metric]
            for metric in ("relevance_inside", "pointing", "auprc")
            for baseline in baselines
            if name in maps
        }
        tables.append(tabulate_means(name, values, rows, params, by_class=True, differences=differences))
        for size, *_ in localization.TUMOR_SIZES:
            of_size = sizes == size
            if of_size.any():
                subset = {metric: numbers[of_size] for metric, numbers in values.items()}
                tables.append(tabulate_means(name, subset, rows[of_size], params).assign(size=size))
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
