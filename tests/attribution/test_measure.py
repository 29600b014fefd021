"""Measurement of a model that was trained on synthetic lesions.

The appearance of a lesion is the class and its position is random, so the expected results are known.
"""

import copy

import numpy as np
import pandas as pd
import pytest
import torch

from brain_tumor.attribution import checks, control_maps, measure, randomization
from brain_tumor.attribution.cases import ExplainParams
from brain_tumor.attribution.constants import (
    CENTER,
    MEAN_MASK,
    OTHER_CLASS,
    RANDOM_ORDER,
    SHIFTED,
    TRUE_MASK,
    UNTRAINED,
)
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
    return {str(method): values for method, values in explained.compute_maps(images, classes).items()}


def restrict_methods(explained: ExplainedModel, *methods: Method) -> ExplainedModel:
    return explained._replace(params=explained.params.model_copy(update={"methods": methods}))


def test_localization_table_methods_beat_baseline_maps(
    explained: ExplainedModel, lesions: Lesions, maps: dict[str, np.ndarray]
) -> None:
    images, classes, masks, rows = lesions
    assert (explained.predict_proba(images).argmax(1) == classes).mean() > 0.9, "the network classifies the lesions"
    baselines = control_maps.model_free_maps(images, 0, make_lesions(512, 1)[2].mean(0).astype(np.float32))
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
        other = explained.explain([method], images, 1 - classes)[method].maps
        assert np.nanmean(randomization.rank_correlation(maps[method], other)) < 0.5, method


def test_checks_lesion_model_and_controls(explained: ExplainedModel, lesions: Lesions) -> None:
    """The oracle and the method pass; maps of another class, of an untrained model and random ones do not."""
    images, _, masks, rows = lesions
    explained = restrict_methods(explained, "grad-cam")
    cache = MapCache(explained, images)
    explanations = checks.explain_predicted_classes(cache, rows, masks.astype(np.uint8) * 255)
    table, curves = checks.measure_faithfulness(explained, explanations)
    assert list(curves) == ["deletion", "insertion"]
    assert {len(values) for values in curves["deletion"].values()} == {4}
    oracle = {metric: get_value(table, TRUE_MASK, metric) for metric in ("deletion", "insertion")}
    for control in (RANDOM_ORDER, "blurred random", SHIFTED, OTHER_CLASS, UNTRAINED, CENTER):
        assert get_value(table, control, "deletion") > oracle["deletion"] + 0.05, control
        if control != UNTRAINED:  # which finds a bright square, as edges and intensity do
            assert get_value(table, control, "insertion") < oracle["insertion"] - 0.05, control
    for metric in oracle:
        assert get_value(table, TRUE_MASK, metric, SHIFTED) > 0.05
        assert get_value(table, "grad-cam", metric, SHIFTED) > 0
    difference = get_value(table, RANDOM_ORDER, "deletion") - get_value(table, "grad-cam", "deletion")
    assert get_value(table, "grad-cam", "deletion", RANDOM_ORDER) == pytest.approx(difference)

    similarity, correlations = checks.randomization_test(explained, explanations)
    stages = list(correlations["grad-cam"])
    assert len(stages) == randomization.NUM_STAGES
    last = correlations["grad-cam"][stages[-1]]
    assert get_value(similarity, "grad-cam", "randomization_correlation") == last.value
    for stage in stages[:-1]:
        expected = correlations["grad-cam"][stage].value
        assert get_value(similarity, "grad-cam", "randomization_correlation", stage=stage) == expected
        assert get_value(similarity, "edges", "randomization_correlation", stage=stage) == 1
        assert abs(get_value(similarity, RANDOM_ORDER, "randomization_correlation", stage=stage)) < 0.2

    stability = checks.measure_stability(explained, explanations)
    assert get_value(stability, "grad-cam", "noisy") > 0.3
    assert get_value(stability, "intensity", "mirrored") == pytest.approx(1)
    assert abs(get_value(stability, RANDOM_ORDER, "noisy")) < 0.2
    again = [
        checks.measure_faithfulness(explained, explanations)[0],
        checks.randomization_test(explained, explanations)[0],
        checks.measure_stability(explained, explanations),
    ]
    pd.testing.assert_frame_equal(pd.concat(again), pd.concat([table, similarity, stability]))


def test_checks_empty_maps_pass_nothing(explained: ExplainedModel, lesions: Lesions) -> None:
    """They do not change when weights do, and are not stable."""
    images, _, _, rows = lesions
    constant = copy.deepcopy(explained.model)
    with torch.no_grad():
        constant.backbone.get_classifier().weight.zero_()
    explained = restrict_methods(explained._replace(model=constant), "grad-cam")
    explanations = checks.explain_predicted_classes(MapCache(explained, images), rows[:4])
    assert not explanations.maps["grad-cam"].any()
    _, correlations = checks.randomization_test(explained, explanations)
    assert [estimate.value for estimate in correlations["grad-cam"].values()] == pytest.approx([1] * 5)
    assert get_value(checks.measure_stability(explained, explanations), "grad-cam", "noisy") == 0


def test_map_similarity_of_constant_maps() -> None:
    random = np.random.default_rng(0).random((2, 64, 64)).astype(np.float32)
    empty = np.zeros_like(random)
    assert checks.map_similarity(random, random, 1.0) == pytest.approx([1, 1])
    assert checks.map_similarity(random, empty, 1.0).tolist() == [0, 0]
    assert checks.map_similarity(empty, random, 1.0).tolist() == [1, 1]
    assert checks.map_similarity(empty, empty, 0.0).tolist() == [0, 0]


def test_count_classes_smallest_class(explained: ExplainedModel, lesions: Lesions) -> None:
    rows = lesions[3]
    for subset, expected in ((rows, 6), (rows[rows["label"] == "a"], 0)):
        table = checks.count_classes(subset, ("a", "b"), explained)
        assert get_value(table, "", "smallest_class_images") == expected
        assert table["n"].tolist() == [len(subset)]


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


def test_average_maps_keeps_one_scale_and_leaves_out_padding() -> None:
    maps = np.zeros((3, 2, 2), np.float32)
    maps[0, 0, 0], maps[1, 0, 0], maps[2] = 6, 0.8, 0.3
    content = np.array([[[True, False], [True, False]]] * 3)
    averages = measure.average_maps({"m": maps}, content, np.array(["a", "a", "b"]), ["a", "b"])
    mean = float(maps.mean())
    np.testing.assert_allclose(averages["m"][0], np.array([[3.4, 0], [0, 0]]) / mean, rtol=1e-6)
    np.testing.assert_allclose(averages["m"][1], np.array([[0.3, 0], [0.3, 0]]) / mean, rtol=1e-6)


def make_cache(explained: ExplainedModel, images: np.ndarray, *methods: Method) -> MapCache:
    """A cache whose measurements use eight images, and the checks two."""
    changes = {"methods": methods, "num_images_measured": 8, "num_images_checks": 2}
    return MapCache(explained._replace(params=explained.params.model_copy(update=changes)), images)


def test_measure_explanations_runs_all_measurements(explained: ExplainedModel, lesions: Lesions) -> None:
    images, _, masks, rows = lesions
    cache = make_cache(explained, images, "grad-cam", "integrated-gradients")
    result = measure.measure_explanations(cache, rows, rows.assign(leak=""), masks.astype(np.uint8) * 255)
    metrics = set(result.table.loc[result.table["map"] == "integrated-gradients", "metric"])
    assert {
        "convergence_delta",
        "pointing",
        "excess_relevance",
        "deletion",
        "noisy",
        "randomization_correlation",
    } <= metrics
    assert get_value(result.table, "", "accuracy") > 0.8
    assert sum(result.class_counts.values()) == 8
    assert result.num_images_checks == 2
    assert result.mean_maps["grad-cam"].shape == result.outside_head.shape == (2, 48, 48)


def test_measure_explanations_without_masks_has_no_localization(explained: ExplainedModel, lesions: Lesions) -> None:
    images, _, masks, rows = lesions
    cache = make_cache(explained, images, "grad-cam")
    for empty in (None, masks.astype(np.uint8) * 0):
        metrics = set(measure.measure_explanations(cache, rows, rows.assign(leak=""), empty).table["metric"])
        assert "deletion" in metrics
        assert "pointing" not in metrics


def test_measure_explanations_without_test_rows_raises_error(explained: ExplainedModel, lesions: Lesions) -> None:
    images, _, _, rows = lesions
    with pytest.raises(UserError, match="no test rows"):
        measure.measure_explanations(make_cache(explained, images, "grad-cam"), rows, rows[:0].assign(leak=""), None)
