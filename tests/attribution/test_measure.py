"""Measurement of a model that was trained on synthetic lesions.

The appearance of a lesion is the class and its position is random, so the expected results are known.
"""

import copy

import numpy as np
import pandas as pd
import pytest
import torch

from brain_tumor.attribution import localization, measure, randomization
from brain_tumor.attribution.cases import ExplainParams
from brain_tumor.attribution.constants import CENTER, MEAN_MASK, RANDOM_ORDER
from brain_tumor.attribution.explained_model import ExplainedModel, MapCache
from brain_tumor.attribution.methods import Method
from brain_tumor.core.errors import UserError
from brain_tumor.models.classifier import Classifier, to_unit
from explained import get_value, make_lesions
from nets import CPU, make_config

Lesions = tuple[np.ndarray, np.ndarray, np.ndarray, pd.DataFrame]  # images, classes, masks, rows
METHODS: tuple[Method, ...] = ("grad-cam", "integrated-gradients", "occlusion")


@pytest.fixture(scope="module")
def explained() -> ExplainedModel:
    torch.manual_seed(0)
    config = make_config(classes=2)
    model = Classifier(config)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    images, classes, _ = make_lesions(512, 1)
    x, truth = to_unit(torch.from_numpy(images), CPU), torch.from_numpy(classes)
    for step in range(60):
        batch = torch.arange(step * 32, step * 32 + 32) % len(x)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x[batch]), truth[batch]).backward()
        optimizer.step()
    params = ExplainParams(methods=METHODS, layer="fine", num_cases=1, rounds=200, seed=0)
    return ExplainedModel(model.eval(), config, params, CPU)


@pytest.fixture(scope="module")
def lesions() -> Lesions:
    images, classes, masks = make_lesions(12, 2)
    labels = ["ab"[label] for label in classes]
    rows = pd.DataFrame({"row": range(12), "label": labels, "group": [str(k) for k in range(12)]})
    return images, classes, masks, rows


@pytest.fixture(scope="module")
def maps(explained: ExplainedModel, lesions: Lesions) -> dict[str, np.ndarray]:
    """Each method's maps for the true classes."""
    images, classes, *_ = lesions
    return {str(method): explained.compute_maps(method, images, classes) for method in METHODS}


def restrict_methods(explained: ExplainedModel, *methods: Method) -> ExplainedModel:
    return explained._replace(params=explained.params.model_copy(update={"methods": methods}))


def test_localization_table_methods_beat_baseline_maps(
    explained: ExplainedModel, lesions: Lesions, maps: dict[str, np.ndarray]
) -> None:
    images, classes, masks, rows = lesions
    assert (explained.predict_proba(images).argmax(1) == classes).mean() > 0.9, "the network classifies the lesions"
    baselines = localization.localization_baselines(images, make_lesions(512, 1)[2].mean(0).astype(np.float32), 0)
    del baselines["intensity"], baselines["edges"]  # they locate a bright square without a model
    table = measure.localization_table(maps, baselines, masks, rows, explained.params)
    for method in METHODS:
        assert get_value(table, method, "relevance_inside", MEAN_MASK) > 0.02, method
        minimum = 0.05 if method == "grad-cam" else 0.4  # a cell of Grad-CAM's map is larger than a lesion
        assert get_value(table, method, "pointing", MEAN_MASK) > minimum, method
        difference = get_value(table, method, "pointing") - get_value(table, CENTER, "pointing")
        assert get_value(table, method, "pointing", CENTER) == pytest.approx(difference)
    assert set(table.loc[table["baseline"] != "", "map"]) == set(METHODS), "baselines are not compared with each other"
    assert set(table["class"]) == {"", "a", "b"}
    with_interval = table[table["low"].notna()]
    assert len(with_interval) > 0.8 * len(table)
    assert (with_interval["low"] <= with_interval["value"] + 1e-9).all()
    assert (with_interval["value"] <= with_interval["high"] + 1e-9).all()


def test_maps_depend_on_the_class(explained: ExplainedModel, lesions: Lesions, maps: dict[str, np.ndarray]) -> None:
    images, classes, *_ = lesions
    for method in METHODS:
        other = explained.compute_maps(method, images, 1 - classes)
        assert np.nanmean(randomization.rank_correlation(maps[method], other)) < 0.5, method


def test_checks_lesion_model_passes(explained: ExplainedModel, lesions: Lesions) -> None:
    images, _, _, rows = lesions
    explained = restrict_methods(explained, "grad-cam")
    explanations = measure.explain_predicted_classes(MapCache(explained, images), rows)
    faithfulness, curves = measure.deletion_insertion_road(explained, explanations)
    assert get_value(faithfulness, "grad-cam", "road") > 0.1
    assert get_value(faithfulness, "grad-cam", "insertion", RANDOM_ORDER) > 0.1
    assert abs(get_value(faithfulness, RANDOM_ORDER, "road")) < 0.1
    assert list(curves) == ["deletion", "insertion"]
    assert list(curves["deletion"]) == ["random order", "blurred random", "center", "grad-cam"]
    similarity, correlations = measure.randomization_test(explained, explanations)
    last = list(correlations["grad-cam"].values())[-1]
    assert get_value(similarity, "grad-cam", "randomization_correlation") == last.value
    assert get_value(similarity, "grad-cam", "randomization_ssim") < 0.5
    first_stage, first = next(iter(correlations["grad-cam"].items()))
    assert get_value(similarity, "grad-cam", "randomization_correlation", stage=first_stage) == first.value
    stability = measure.infidelity_and_stability(explained, explanations)
    assert 0 <= get_value(stability, "grad-cam", "infidelity") < 1
    assert get_value(stability, "grad-cam", "max_sensitivity") > 0
    assert get_value(stability, "grad-cam", "noisy") > 0.3
    for baseline in (RANDOM_ORDER, CENTER):
        difference = get_value(faithfulness, "grad-cam", "road") - get_value(faithfulness, baseline, "road")
        assert get_value(faithfulness, "grad-cam", "road", baseline) == pytest.approx(difference)
    again = [
        measure.deletion_insertion_road(explained, explanations)[0],
        measure.randomization_test(explained, explanations)[0],
        measure.infidelity_and_stability(explained, explanations),
    ]
    pd.testing.assert_frame_equal(pd.concat(again), pd.concat([faithfulness, similarity, stability]))


def test_checks_empty_maps_leave_out_undefined_metrics(explained: ExplainedModel, lesions: Lesions) -> None:
    images, _, _, rows = lesions
    constant = copy.deepcopy(explained.model)
    with torch.no_grad():
        constant.backbone.get_classifier().weight.zero_()
    explained = restrict_methods(explained._replace(model=constant), "grad-cam")
    explanations = measure.explain_predicted_classes(MapCache(explained, images), rows[:4])
    assert not explanations.maps["grad-cam"].any()
    table, correlations = measure.randomization_test(explained, explanations)
    assert set(table["metric"]) <= {"randomization_ssim"}
    assert all(np.isnan(estimate.value) and estimate.n == 0 for estimate in correlations["grad-cam"].values())
    assert set(measure.infidelity_and_stability(explained, explanations)["metric"]) == set()


def test_accuracy_with_masked_regions_lesion_model(explained: ExplainedModel, lesions: Lesions) -> None:
    """The masks of the lesions take the part of the head."""
    images, _, masks, rows = lesions
    table = measure.accuracy_with_masked_regions(explained, images, masks, rows)
    assert get_value(table, "", "accuracy") > 0.9
    assert get_value(table, "", "accuracy", region="outside_head") < 0.8
    for region in ("head", "outside_head"):
        change = get_value(table, "", "accuracy", region=region) - get_value(table, "", "accuracy")
        assert get_value(table, "", "accuracy_change", region=region) == pytest.approx(change)


def test_relevance_by_region_constant_map_equals_the_area(explained: ExplainedModel, lesions: Lesions) -> None:
    images, _, _, rows = lesions
    heads = np.zeros(images.shape, bool)
    heads[:, 8:-8, 8:-8] = True
    constant = {"constant": np.ones(images.shape, np.float32)}
    table = measure.relevance_by_region(constant, images, heads, rows, explained.params)
    for region in ("outside_head", "borders", "corners"):
        relevance, area = (get_value(table, "constant", metric, region=region) for metric in ("relevance", "area"))
        assert relevance == pytest.approx(area)
        assert get_value(table, "constant", "excess_relevance", region=region) == pytest.approx(0, abs=1e-9)


def test_average_maps_scales_each_map_to_a_mean_of_1() -> None:
    maps = np.zeros((3, 2, 2), np.float32)
    maps[0, 0, 0], maps[1] = 8, 5
    averages = measure.average_maps({"m": maps}, np.array(["a", "a", "b"]), ["a", "b"])
    assert averages["m"].tolist() == [[[2.5, 0.5], [0.5, 0.5]], [[0, 0], [0, 0]]]


def make_cache(explained: ExplainedModel, images: np.ndarray, *methods: Method) -> MapCache:
    """A cache whose measurements use eight images, and the checks two."""
    changes = {"methods": methods, "num_images_measured": 8, "num_images_checks": 2}
    return MapCache(explained._replace(params=explained.params.model_copy(update=changes)), images)


def test_measure_explanations_runs_all_measurements(explained: ExplainedModel, lesions: Lesions) -> None:
    images, _, masks, rows = lesions
    cache = make_cache(explained, images, "grad-cam", "integrated-gradients")
    result = measure.measure_explanations(cache, rows, rows.assign(leak=""), masks.astype(np.uint8) * 255)
    metrics = set(result.table.loc[result.table["map"] == "integrated-gradients", "metric"])
    assert {"convergence_delta", "pointing", "excess_relevance", "road", "infidelity", "randomization_ssim"} <= metrics
    assert get_value(result.table, "", "accuracy") > 0.9, "of all test rows"
    assert sum(result.class_counts.values()) == 8
    assert result.num_images_checks == 2
    assert result.mean_maps["grad-cam"].shape == result.outside_head.shape == (2, 48, 48)


def test_measure_explanations_without_masks_has_no_localization(explained: ExplainedModel, lesions: Lesions) -> None:
    images, _, masks, rows = lesions
    cache = make_cache(explained, images, "grad-cam")
    for empty in (None, masks.astype(np.uint8) * 0):
        metrics = set(measure.measure_explanations(cache, rows, rows.assign(leak=""), empty).table["metric"])
        assert "road" in metrics
        assert "pointing" not in metrics


def test_measure_explanations_without_test_rows_raises_error(explained: ExplainedModel, lesions: Lesions) -> None:
    images, _, _, rows = lesions
    with pytest.raises(UserError, match="no test rows"):
        measure.measure_explanations(make_cache(explained, images, "grad-cam"), rows, rows[:0].assign(leak=""), None)
